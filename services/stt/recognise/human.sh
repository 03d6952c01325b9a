#!/bin/sh
# The word error rate of the built-in recogniser on the recordings of people in Debian's package
# pocketsphinx-testdata, which is fetched into a temporary directory.
set -eu
cd "$(dirname "$0")"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
(cd "$dir" && apt-get download --quiet --quiet pocketsphinx-testdata && dpkg-deb -x ./*.deb .)
TARSD_SPEECH="$dir/usr/share/pocketsphinx/test/data" go test -count=1 -run Human -v .
