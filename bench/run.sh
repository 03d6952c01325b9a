#!/bin/sh
# Measures tarsd against the Mosquitto that is installed and prints the table of design.md
# section 8. Takes less than ten minutes; see docs/benchmarks.md.
#
#   BENCH_ROUNDS=5             paired rounds of each measurement
#   BENCH_ONLY=                regular expression: only these measurements (qos0, fanout, qos1, qos2,
#                              large, latency, memory, durable, retained, connections)
#   BENCH_STRICT=              set it to fail when a row misses its floor
#   MQTTLOAD_DIR=              source of mqttload; ../shared/bench/mqttload beside this repository if not set
#   TARSD_BIN=                 measure this binary instead of a fresh build
#   MOSQUITTO_BIN=mosquitto    the broker to compare with
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
mqttload=${MQTTLOAD_DIR:-$root/../shared/bench/mqttload}
# Debian puts mosquitto where only root's PATH looks.
PATH=$PATH:/usr/sbin:/usr/local/sbin
mosquitto=$(command -v "${MOSQUITTO_BIN:-mosquitto}") || {
	echo "bench: Mosquitto is not installed (apt-get install mosquitto)" >&2
	exit 1
}
[ -f "$mqttload/go.mod" ] || {
	echo "bench: no mqttload in $mqttload; set MQTTLOAD_DIR" >&2
	exit 1
}
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT INT TERM
export CGO_ENABLED=0
(cd "$mqttload" && go build -o "$bin/mqttload" .)
go build -trimpath -o "$bin/bench" ./bench/cmd
go build -trimpath -o "$bin/durable" ./bench/durable
if [ -z "${TARSD_BIN:-}" ]; then
	go build -trimpath -o "$bin/tarsd" ./cmd/tarsd
	TARSD_BIN=$bin/tarsd
fi
"$bin/bench" -root "$root" -tarsd "$TARSD_BIN" -mosquitto "$mosquitto" -mqttload "$bin/mqttload" -durable "$bin/durable" \
	-rounds "${BENCH_ROUNDS:-5}" -only "${BENCH_ONLY:-}" ${BENCH_STRICT:+-strict}
