package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// roundTrips runs the in-process benchmark of the two listeners. Its sub-benchmarks are
// named CLIENT/LISTENER/..., with raw or autopaho and memory or tcp.
func (b *bench) roundTrips(ctx context.Context) map[string]measured {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkRoundTrip$",
		"-benchtime", "1s", "-count", strconv.Itoa(min(b.rounds, 3)), "./broker/brokertest")
	cmd.Dir = b.root
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("go test -bench RoundTrip: %w: %s", err, tailOf(string(out), 200))
	}
	m := map[string]measured{}
	for _, client := range []string{"raw", "autopaho"} {
		if err != nil {
			m["memory-"+client] = measured{err: err}
			continue
		}
		m["memory-"+client] = memoryToTCP(string(out), client)
	}
	return m
}

// memoryToTCP finds the median times of one client in the output of go test -bench. Only
// QoS 0 is compared when a benchmark distinguishes.
func memoryToTCP(out, client string) measured {
	memory, tcp := nanoseconds(out, client, "memory"), nanoseconds(out, client, "tcp")
	if len(memory) == 0 || len(tcp) == 0 {
		return measured{err: errors.New("BenchmarkRoundTrip printed no figures for " + client)}
	}
	a, b := median(memory), median(tcp)
	return measured{value: a / b, detail: fmt.Sprintf("%s : %s µs", number(a/1e3), number(b/1e3))}
}

// nanoseconds collects ns/op of the sub-benchmarks whose name has all words as parts.
func nanoseconds(out string, words ...string) []float64 {
	var v []float64
	sc := bufio.NewScanner(strings.NewReader(out))
	for sc.Scan() {
		f := strings.Fields(sc.Text())
		if len(f) < 4 || f[3] != "ns/op" || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name := strings.ToLower(f[0])
		if i := strings.LastIndexByte(name, '-'); i > 0 { // the number of processors
			name = name[:i]
		}
		parts := map[string]bool{}
		for p := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '/' || r == '_' || r == '=' }) {
			parts[p] = true
		}
		if parts["qos1"] || parts["qos2"] || !has(parts, words) {
			continue
		}
		if ns, err := strconv.ParseFloat(f[2], 64); err == nil {
			v = append(v, ns)
		}
	}
	return v
}

func has(parts map[string]bool, words []string) bool {
	for _, w := range words {
		if !parts[w] {
			return false
		}
	}
	return true
}

// tailOf is the end of a text, at most n bytes.
func tailOf(s string, n int) string {
	s = strings.TrimSpace(s)
	return s[max(0, len(s)-n):]
}
