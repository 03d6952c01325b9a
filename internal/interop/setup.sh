#!/bin/sh
# Installs the MQTT clients from PyPI and npm which the interop tests use, and the Wyoming package for
# the tests of services/wyoming, into the user's cache.
# It may be run again at any time and does nothing when what is installed is what is wanted. A
# client that cannot be had is no error: its tests skip and say so.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${TARSD_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tarsd/interop}
mkdir -p "$cache" || exit 1

# current NAME FILE...: whether NAME was installed from these very files.
current() {
	name=$1
	shift
	[ -f "$cache/$name.stamp" ] && [ "$(cat "$@" | cksum)" = "$(cat "$cache/$name.stamp")" ]
}

# done_with NAME FILE...: remembers that it is now.
done_with() {
	name=$1
	shift
	cat "$@" | cksum >"$cache/$name.stamp"
}

python() {
	want="$here/clients/requirements.txt"
	if current python "$want" && [ -x "$cache/venv/bin/python" ]; then
		return 0
	fi
	command -v python3 >/dev/null || { echo "interop: no python3, its tests will skip"; return 0; }
	rm -rf "$cache/venv" "$cache/python.stamp"
	if python3 -m venv "$cache/venv" && "$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$want"; then
		done_with python "$want"
		echo "interop: installed for Python:" $(cat "$want")
	else
		echo "interop: could not install the Python clients, their tests will skip"
	fi
}

node() {
	if current node "$here/clients/package.json" "$here/clients/package-lock.json" && [ -d "$cache/node/node_modules/mqtt" ]; then
		return 0
	fi
	command -v npm >/dev/null || { echo "interop: no npm, its tests will skip"; return 0; }
	rm -rf "$cache/node" "$cache/node.stamp"
	mkdir -p "$cache/node"
	cp "$here/clients/package.json" "$here/clients/package-lock.json" "$cache/node/"
	if (cd "$cache/node" && npm ci --silent --ignore-scripts --no-audit --no-fund); then
		done_with node "$here/clients/package.json" "$here/clients/package-lock.json"
		echo "interop: installed mqtt.js for Node"
	else
		echo "interop: could not install the Node client, its tests will skip"
	fi
}

python
node
for client in mosquitto_pub mosquitto_sub; do
	command -v "$client" >/dev/null || echo "interop: no $client (package mosquitto-clients), its tests will skip"
done
exit 0
