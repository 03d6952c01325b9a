package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseLoad(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/pairs.json")
	require.NoError(t, err)
	r, err := parseLoad(b)
	require.NoError(t, err)
	require.Len(t, r.Runs, 6)
	get := func(x loadRun) float64 { return x.CPUPerMsg }
	m := r.ratio(" µs", get)
	require.NoError(t, m.err)
	// Medians of the ratios of each round, not the ratio of the medians.
	assert.InDelta(t, 0.25, m.value, 1e-9)
	assert.Equal(t, "1.00 : 5.00 µs, 0.100 to 0.333; tarsd: 3 lost, 0 twice, 1 out of order", m.detail)
}

func TestParseLoadFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, json, want string }{
		{"no JSON", "x", "report of mqttload"},
		{"no runs", "{}", "no runs"},
		{"a run failed", `{"runs":[{"target":"tarsd","round":1,"error":"connect refused"}]}`, "tarsd, round 2: connect refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseLoad([]byte(tc.json))
			assert.ErrorContains(t, err, tc.want)
		})
	}
	m := loadReport{Runs: []loadRun{{Target: ours}}}.ratio("", func(loadRun) float64 { return 1 })
	assert.Error(t, m.err, "a round without its counterpart")
}

func TestMemoryToTCP(t *testing.T) {
	t.Parallel()
	const out = `goos: linux
BenchmarkRoundTrip/raw/memory-2     1000000    1100 ns/op    0 B/op   0 allocs/op
BenchmarkRoundTrip/raw/memory-2     1000000    1300 ns/op    0 B/op   0 allocs/op
BenchmarkRoundTrip/raw/tcp-2         200000    6000 ns/op    0 B/op   0 allocs/op
BenchmarkRoundTrip/raw/tcp-2         200000    6000 ns/op    0 B/op   0 allocs/op
BenchmarkRoundTrip/autopaho/memory/qos1-2  100000   99000 ns/op
BenchmarkRoundTrip/autopaho/memory/qos0-2  100000   10000 ns/op
BenchmarkRoundTrip/autopaho/tcp/qos0-2     100000   20000 ns/op
PASS`
	raw := memoryToTCP(out, "raw")
	require.NoError(t, raw.err)
	assert.InDelta(t, 0.2, raw.value, 1e-9)
	paho := memoryToTCP(out, "autopaho")
	require.NoError(t, paho.err)
	assert.InDelta(t, 0.5, paho.value, 1e-9)
	assert.Error(t, memoryToTCP("PASS", "raw").err)
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	less := row{floor: 0.1, aim: 0.03}
	more := row{floor: 1.3, aim: 2, more: true}
	for _, tc := range []struct {
		name string
		row  row
		m    measured
		want string
	}{
		{"aim", less, measured{value: 0.03}, "aim"},
		{"floor", less, measured{value: 0.1}, "floor"},
		{"missed", less, measured{value: 0.11}, "**missed**"},
		{"more is better, aim", more, measured{value: 2}, "aim"},
		{"more is better, floor", more, measured{value: 1.5}, "floor"},
		{"more is better, missed", more, measured{value: 1.29}, "**missed**"},
		{"failed", less, measured{err: errors.New("x")}, "not measured"},
		{"divided by zero", less, measured{value: 1 / zero()}, "**no number**"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tc.want, tc.row.verdict(tc.m))
		})
	}
}

func zero() float64 { return 0 }

func TestWriteTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	ok, err := writeTable(&out, map[string]measured{
		"qos0":    {value: 0.024, detail: "0.1 : 4.2 µs"},
		"durable": {value: 40000},
		"restart": {err: errors.New("two\nlines | and a bar")},
	})
	require.NoError(t, err)
	assert.False(t, ok)
	assert.Equal(t, `| measure | floor | aim | measured | verdict |
| --- | --- | --- | --- | --- |
| CPU per delivery, 1:1 QoS 0 128 B, vs Mosquitto 2.0.11 | ≤ 0.1 | ≤ 0.03 | 0.024 (0.1 : 4.2 µs) | aim |
| durable QoS 1, 8 publishers, 100 in flight | ≥ 50000/s | ≥ 150000/s | 40000/s | **missed** |
| 100k retained: restart to first CONNACK | ≤ 500 ms | ≤ 130 ms | two; lines / and a bar | not measured |
`, out.String())
}

// TestRowsAndMeasurements keeps the two lists together.
func TestRowsAndMeasurements(t *testing.T) {
	t.Parallel()
	produced := map[string]bool{}
	for _, m := range measurements() {
		for _, k := range m.keys {
			assert.False(t, produced[k], "%s is measured twice", k)
			produced[k] = true
		}
	}
	for _, r := range rows() {
		assert.True(t, produced[r.key], "nothing measures %q", r.measure)
		delete(produced, r.key)
		if r.more {
			assert.LessOrEqual(t, r.floor, r.aim, r.measure)
		} else {
			assert.GreaterOrEqual(t, r.floor, r.aim, r.measure)
		}
	}
	assert.Empty(t, produced, "measured and not shown")
}

func TestBadArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-rounds", "0"}, {"-only", "("}, {"stray"}, {"-no-such-flag"}} {
		var out bytes.Buffer
		assert.Error(t, run(t.Context(), args, &out, &out), strings.Join(args, " "))
	}
}
