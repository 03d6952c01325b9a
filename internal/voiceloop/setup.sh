#!/bin/sh
# Installs the recogniser of the tests of the voice loop from PyPI into the user's cache. It may be run
# again at any time and does nothing when what is installed is what is wanted. If it cannot be had, the
# tests do without it, and say so.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${TARSD_INTEROP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tarsd/interop}
want="$here/requirements.txt"
if [ -f "$cache/sphinx.stamp" ] && [ "$(cksum <"$want")" = "$(cat "$cache/sphinx.stamp")" ] && [ -x "$cache/sphinx/bin/python" ]; then
	exit 0
fi
mkdir -p "$cache" || exit 1
command -v python3 >/dev/null || { echo "voiceloop: no python3, nothing will listen to the robot"; exit 0; }
rm -rf "$cache/sphinx" "$cache/sphinx.stamp"
# What it depends on is for microphones.
if python3 -m venv "$cache/sphinx" && "$cache/sphinx/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$want"; then
	cksum <"$want" >"$cache/sphinx.stamp"
	echo "voiceloop: installed for Python:" $(cat "$want")
else
	echo "voiceloop: could not install the recogniser, nothing will listen to the robot"
fi
exit 0
