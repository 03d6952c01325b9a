#!/bin/sh
# Records what PocketSphinx, compiled for this machine, makes of ../testdata/speech.wav of the engines.
# TestEqualsNative compares the WebAssembly build with it. Run it after `make assets`:
#
#	sh testdata/record.sh SOURCES ZIG > testdata/native.json
#
# SOURCES is the unpacked source distribution that internal/assets names, ZIG the compiler there.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
sources=$(cd "$1" && pwd)
zig=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export ZIG_GLOBAL_CACHE_DIR="$work/cache" ZIG_LOCAL_CACHE_DIR="$work/cache"
cp -r "$here/../build/glue" "$work/glue"
rm -r "$work/glue/system" # this machine has setjmp
sed -i 's/SIZEOF_LONG 4/SIZEOF_LONG 8/' "$work/glue/config.h" "$work/glue/pocketsphinx/sphinx_config.h"
cp "$here/native.c" "$work/native.c"
files=$(sed -n '/^add_library(pocketsphinx/,/)/p' "$sources/src/CMakeLists.txt" | grep '\.c$' | grep -v 'util/mmio.c' | sed "s|^|$sources/src/|")
# shellcheck disable=SC2086 # a list
"$zig" cc -O3 -DNDEBUG -DHAVE_CONFIG_H -w -fno-sanitize=undefined -ffp-contract=off -I"$work/glue" -I"$sources/src" -I"$sources/include" \
	-o "$work/native" $files "$work/glue/glue.c" "$work/glue/mmio.c" "$work/native.c" -lm
"$work/native" "$here/../assets" "$here/../../testdata/speech.wav"
