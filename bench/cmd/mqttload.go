package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
)

// The names of the two brokers in mqttload's report.
const (
	theirs = "mosquitto"
	ours   = "tarsd"
)

// loadReport is what is used of mqttload's JSON; bench/mqttload/README.md describes it.
type loadReport struct {
	Runs []loadRun `json:"runs"`
}

type loadRun struct {
	Target    string  `json:"target"`
	Round     int     `json:"round"`
	Err       string  `json:"error"`
	Received  int64   `json:"received"`
	Lost      int64   `json:"lost"`
	Dup       int64   `json:"duplicated"`
	Late      int64   `json:"out_of_order"`
	PerSec    float64 `json:"delivered_per_s"`
	CPU       float64 `json:"broker_cpu_s"`
	CPUPerMsg float64 `json:"broker_cpu_us_per_delivery"`
	Latency   struct {
		P50  float64 `json:"p50_us"`
		P99  float64 `json:"p99_us"`
		P999 float64 `json:"p999_us"`
	} `json:"latency"`
	RSSAfter   int64   `json:"rss_after_kib"`
	RSSPerConn float64 `json:"rss_per_conn_kib"`
	Replay     float64 `json:"retain_replay_s"`
}

// parseLoad decodes a report and fails if a run of it did.
func parseLoad(b []byte) (loadReport, error) {
	var r loadReport
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("report of mqttload: %w", err)
	}
	var errs []error
	for _, run := range r.Runs {
		if run.Err != "" {
			errs = append(errs, fmt.Errorf("%s, round %d: %s", run.Target, run.Round+1, run.Err))
		}
	}
	if len(r.Runs) == 0 {
		errs = append(errs, errors.New("report of mqttload: no runs"))
	}
	return r, errors.Join(errs...)
}

// load runs mqttload with args against the targets.
func (b *bench) load(ctx context.Context, targets []*target, args ...string) (loadReport, error) {
	out := filepath.Join(b.tmp, "report.json")
	if err := os.RemoveAll(out); err != nil {
		return loadReport{}, err
	}
	for _, t := range targets {
		args = append(args, "-target", fmt.Sprintf("%s=tcp://%s,pid=%d", t.name, t.d.Addr, t.d.PID()))
	}
	cmd := exec.CommandContext(ctx, b.mqttload, append(args, "-q", "-json", out)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError // it has written its report when only a run failed
		if !errors.As(err, &exit) {
			return loadReport{}, fmt.Errorf("mqttload: %w", err)
		}
	}
	j, err := os.ReadFile(out)
	if err != nil {
		return loadReport{}, fmt.Errorf("mqttload wrote no report: %w", err)
	}
	return parseLoad(j)
}

// paired runs a load in interleaved rounds, whose figures can be compared round by round.
func (b *bench) paired(ctx context.Context, targets []*target, args ...string) (loadReport, error) {
	return b.load(ctx, targets, append(args, "-rounds", strconv.Itoa(b.rounds))...)
}

// of returns one figure of each round of a target, in the order of the rounds.
func (r loadReport) of(name string, get func(loadRun) float64) []float64 {
	runs := slices.Clone(r.Runs)
	slices.SortStableFunc(runs, func(x, y loadRun) int { return x.Round - y.Round })
	var v []float64
	for _, run := range runs {
		if run.Target == name {
			v = append(v, get(run))
		}
	}
	return v
}

// ratio is the median over the rounds of ours to theirs, with its span.
func (r loadReport) ratio(unit string, get func(loadRun) float64) measured {
	a, b := r.of(ours, get), r.of(theirs, get)
	if len(a) != len(b) || len(a) == 0 {
		return measured{err: errors.New("the rounds are not complete")}
	}
	q := make([]float64, len(a))
	for i := range a {
		q[i] = a[i] / b[i]
	}
	m := measured{value: median(q)}
	m.detail = fmt.Sprintf("%s : %s%s, %s to %s", number(median(a)), number(median(b)), unit, number(slices.Min(q)), number(slices.Max(q)))
	for _, name := range []string{ours, theirs} {
		lost := sum(r.of(name, func(x loadRun) float64 { return float64(x.Lost) }))
		dup := sum(r.of(name, func(x loadRun) float64 { return float64(x.Dup) }))
		late := sum(r.of(name, func(x loadRun) float64 { return float64(x.Late) }))
		if lost+dup+late > 0 {
			m.detail += fmt.Sprintf("; %s: %.0f lost, %.0f twice, %.0f out of order", name, lost, dup, late)
		}
	}
	return m
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	switch n := len(s); {
	case n == 0:
		return 0
	case n%2 == 0:
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}
