#!/bin/sh
# Builds dist/tarsd-linux-ARCH, proves that they are static, and prints size and checksum.
set -eu
GO=${GO:-go}
mkdir -p dist
rm -f dist/tarsd-linux-* dist/SHA256SUMS
for arch in amd64 arm64; do
	out=dist/tarsd-linux-$arch
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch "$GO" build -trimpath -buildvcs=auto -ldflags '-s -w' -o "$out" ./cmd/tarsd
	# A static binary has no program interpreter: no name of a loader in it as an ELF header.
	if od -A n -t x1 -N 4096 "$out" | tr -d ' \n' | grep -q 6c642d6c696e7578; then # "ld-linux"
		echo "$out is not static" >&2
		exit 1
	fi
	printf '%-24s %6.1f MiB\n' "$out" "$(wc -c <"$out" | awk '{print $1/1048576}')"
done
(cd dist && sha256sum tarsd-linux-* | tee SHA256SUMS)
