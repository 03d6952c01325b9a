package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// bench holds what the measurements share.
type bench struct {
	tarsd, mosquitto, mqttload, durable string // programs
	root                                string // of the module
	tmp                                 string
	rounds                              int
	seconds                             float64 // of one run of a load
	say                                 func(format string, args ...any)
}

// measurement produces the figures of one or more rows.
type measurement struct {
	name string
	keys []string
	run  func(b *bench, ctx context.Context) (map[string]measured, error)
}

func measurements() []measurement {
	cpu := func(r loadRun) float64 { return r.CPUPerMsg }
	return []measurement{
		flow("qos0", cpu, "-layout", "pairs", "-pubs", "4"),
		flow("fanout", cpu, "-layout", "fanout", "-pubs", "1", "-subs", "100"),
		flow("qos1", cpu, "-layout", "pairs", "-pubs", "4", "-qos", "1"),
		flow("qos2", cpu, "-layout", "pairs", "-pubs", "1", "-qos", "2"),
		{"large", []string{"large"}, (*bench).large},
		{"latency", []string{"latency", "latency-cpu"}, (*bench).latency},
		{"memory", []string{"memory-raw", "memory-autopaho"}, func(b *bench, ctx context.Context) (map[string]measured, error) {
			return b.roundTrips(ctx), nil
		}},
		{"durable", []string{"durable"}, (*bench).durableRate},
		{"retained", []string{"replay", "narrow", "restart", "retained-rss", "idle-cpu"}, (*bench).retained},
		{"connections", []string{"connection-rss"}, (*bench).connections},
	}
}

// unlimited is a count that no run reaches: time ends it, so that the slow and the fast
// broker are measured for equally long.
const unlimited = "2000000000"

// flow is a paired load at full speed whose figure is the processor time of a delivery.
func flow(key string, get func(loadRun) float64, args ...string) measurement {
	return measurement{key, []string{key}, func(b *bench, ctx context.Context) (map[string]measured, error) {
		m, _, err := b.fullSpeed(ctx, " µs", get, args...)
		return map[string]measured{key: m}, err
	}}
}

func (b *bench) fullSpeed(ctx context.Context, unit string, get func(loadRun) float64, args ...string) (measured, loadReport, error) {
	targets, err := b.both(ctx)
	if err != nil {
		return measured{}, loadReport{}, err
	}
	defer kill(targets)
	r, err := b.paired(ctx, targets, append(args, "-count", unlimited, "-max-time", fmt.Sprint(b.seconds))...)
	if err != nil {
		return measured{}, r, err
	}
	return r.ratio(unit, get), r, nil
}

func (b *bench) large(ctx context.Context) (map[string]measured, error) {
	m, r, err := b.fullSpeed(ctx, "/s", func(r loadRun) float64 { return r.PerSec }, "-layout", "pairs", "-pubs", "4", "-size", "16384")
	if err == nil {
		cpu := func(r loadRun) float64 { return r.CPUPerMsg }
		m.detail += fmt.Sprintf("; CPU each %s : %s µs", number(median(r.of(ours, cpu))), number(median(r.of(theirs, cpu))))
	}
	return map[string]measured{"large": m}, err
}

// latency sends 1,000 messages a second for a little longer than the other loads run:
// p99.9 needs thousands of messages.
func (b *bench) latency(ctx context.Context) (map[string]measured, error) {
	targets, err := b.both(ctx)
	if err != nil {
		return nil, err
	}
	defer kill(targets)
	count := int(2 * b.seconds * 1000 / 4)
	r, err := b.paired(ctx, targets, "-layout", "pairs", "-pubs", "4", "-rate", "1000", "-count", strconv.Itoa(count))
	if err != nil {
		return nil, err
	}
	return map[string]measured{
		"latency":     r.ratio(" µs", func(r loadRun) float64 { return r.Latency.P999 }),
		"latency-cpu": r.ratio(" µs per message", func(r loadRun) float64 { return r.CPUPerMsg }),
	}, nil
}

// durableRate measures with subscribers that are connected, which is the row of the
// table, and with subscribers that are away.
func (b *bench) durableRate(ctx context.Context) (map[string]measured, error) {
	t, err := b.start(ctx, ours, "limits.queue_messages=1000000", "limits.queue_bytes=1073741824", "limits.queue_total_bytes=4294967296")
	if err != nil {
		return nil, err
	}
	defer t.d.Kill()
	type report struct {
		PerSec float64 `json:"per_s"`
		CPU    float64 `json:"cpu_us_per_message"`
		Lost   int     `json:"lost"`
	}
	run := func(args ...string) (r report, err error) {
		cmd := exec.CommandContext(ctx, b.durable, append(args, "-addr", t.d.Addr, "-pid", strconv.Itoa(t.d.PID()), "-rounds", strconv.Itoa(b.rounds))...)
		out, err := cmd.Output()
		if err != nil {
			return r, fmt.Errorf("durable: %w: %s", err, stderrOf(err))
		}
		return r, json.Unmarshal(out, &r)
	}
	on, err := run()
	if err != nil {
		return nil, err
	}
	off, err := run("-offline", "-count", "20000")
	if err != nil {
		return nil, err
	}
	return map[string]measured{"durable": {
		value:  on.PerSec,
		detail: fmt.Sprintf("%s µs CPU each, %d lost; subscribers away: %s/s, %s µs", number(on.CPU), on.Lost, number(off.PerSec), number(off.CPU)),
	}}, nil
}

const retainedCount = "100000"

// retained stores 100,000 messages in both brokers and looks at what they cost.
func (b *bench) retained(ctx context.Context) (map[string]measured, error) {
	targets, err := b.both(ctx)
	if err != nil {
		return nil, err
	}
	defer kill(targets)
	if _, err := b.load(ctx, targets, "-layout", "retain-set", "-count", retainedCount, "-qos", "1"); err != nil {
		return nil, err
	}
	replay, err := b.paired(ctx, targets, "-layout", "retain-read", "-count", retainedCount)
	if err != nil {
		return nil, err
	}
	narrow, err := b.paired(ctx, targets, "-layout", "retain-read", "-count", "100", "-filter", "ml/ret/+/7")
	if err != nil {
		return nil, err
	}
	m := map[string]measured{"replay": replay.ratio(" s", func(r loadRun) float64 { return r.Replay })}
	ms := func(r loadRun) float64 { return 1e3 * r.Replay }
	m["narrow"] = measured{
		value:  median(narrow.of(ours, ms)),
		detail: fmt.Sprintf("100 of 100,000 messages; 2.0.11: %s ms", number(median(narrow.of(theirs, ms)))),
	}
	m["idle-cpu"] = b.idle(ctx, targets)
	b.restarts(ctx, targets, m)
	return m, nil
}

// idle measures the processor time of brokers that nobody talks to.
func (b *bench) idle(ctx context.Context, targets []*target) measured {
	hold := time.Duration(b.seconds * 2 * float64(time.Second))
	share := make([]float64, len(targets))
	for i, t := range targets {
		before, err := daemon.CPU(t.d.PID())
		if err != nil {
			return measured{err: err}
		}
		select {
		case <-ctx.Done():
			return measured{err: ctx.Err()}
		case <-time.After(hold):
		}
		after, err := daemon.CPU(t.d.PID())
		if err != nil {
			return measured{err: err}
		}
		share[i] = 100 * (after - before).Seconds() / hold.Seconds()
	}
	return measured{value: share[1], detail: fmt.Sprintf("2.0.11: %s %%", number(share[0]))}
}

// restarts measures how long a broker with 100,000 retained messages needs to serve
// again, and what it holds in memory then.
func (b *bench) restarts(ctx context.Context, targets []*target, m map[string]measured) {
	var times [2][]float64
	for range min(b.rounds, 3) {
		for i, t := range targets {
			took, err := b.restart(ctx, t)
			if err != nil {
				m["restart"], m["retained-rss"] = measured{err: err}, measured{err: err}
				return
			}
			times[i] = append(times[i], 1e3*took.Seconds())
		}
	}
	m["restart"] = measured{value: median(times[1]), detail: fmt.Sprintf("2.0.11: %s ms", number(median(times[0])))}
	var rss [2]float64
	for i, t := range targets {
		n, err := daemon.RSS(t.d.PID())
		if err != nil {
			m["retained-rss"] = measured{err: err}
			return
		}
		rss[i] = float64(n) / (1 << 20)
	}
	m["retained-rss"] = measured{value: rss[1], detail: fmt.Sprintf("after a restart; 2.0.11: %s MiB", number(rss[0]))}
}

// connections measures fresh brokers: memory that an earlier load left free would be
// used again and make connections look cheap.
func (b *bench) connections(ctx context.Context) (map[string]measured, error) {
	var each, other []float64
	for range min(b.rounds, 3) {
		targets, err := b.both(ctx)
		if err != nil {
			return nil, err
		}
		r, err := b.load(ctx, targets, "-layout", "idle", "-subs", "5000", "-filter", "idle")
		kill(targets)
		if err != nil {
			return nil, err
		}
		kib := func(r loadRun) float64 { return r.RSSPerConn }
		each, other = append(each, r.of(ours, kib)...), append(other, r.of(theirs, kib)...)
	}
	return map[string]measured{"connection-rss": {
		value: median(each), detail: fmt.Sprintf("5,000 with a subscription each; 2.0.11: %s KiB", number(median(other))),
	}}, nil
}
