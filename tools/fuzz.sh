#!/bin/sh
# Runs every fuzz target of the module for FUZZTIME. Fails at the first target that fails. Go's fuzzer itself
# fails now and then when its time is over while it waits for a worker: "context deadline exceeded", without an
# input (go.dev/issue/75804, mended in Go 1.27). Then the target is run once more.
set -eu
GO=${GO:-go}
FUZZTIME=${FUZZTIME:-3s}
run() {
	"$GO" test "./$1" -run '^$' -fuzz "^$2\$" -fuzztime "$FUZZTIME" -fuzzminimizetime 0s -parallel 2
}
overrun() {
	grep -q '^ *context deadline exceeded$' "$1" && ! grep -q 'Failing input\|panic:' "$1"
}
n=0
for file in $(git ls-files -co --exclude-standard '*_test.go' | xargs grep -l '^func Fuzz' | sort); do
	dir=$(dirname "$file")
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		printf '%s %s ' "$dir" "$target"
		out=$(mktemp)
		if run "$dir" "$target" >"$out" 2>&1 || { overrun "$out" && run "$dir" "$target" >"$out" 2>&1; }; then
			runs=$(sed -n 's/^fuzz: .*execs: \([0-9]*\).*/\1/p' "$out" | tail -n 1)
			echo "${runs:-seeds only, too little time for new} runs"
			rm -f "$out"
		else
			echo FAILED
			cat "$out"
			rm -f "$out"
			exit 1
		fi
		n=$((n + 1))
	done
done
echo "fuzz: $n targets, $FUZZTIME each"
[ "$n" -gt 0 ]
