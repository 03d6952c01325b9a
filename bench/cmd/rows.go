package main

import (
	"fmt"
	"io"
	"math"
	"strings"
)

// row is one line of the table of design.md section 8 and its limits. Limits are upper
// ones, or lower ones where more is better.
type row struct {
	measure    string
	key        string // of the measurement
	floor, aim float64
	more       bool   // more is better
	unit       string // after each number; empty for ratios
}

// measured is the outcome of one measurement.
type measured struct {
	value  float64
	detail string // what the value was made of
	err    error  // why there is no value
}

// rows are those of design.md section 8 that concern the broker, and the promise of
// section 2 about an idle broker.
func rows() []row {
	return []row{
		{measure: "CPU per delivery, 1:1 QoS 0 128 B, vs Mosquitto 2.0.11", key: "qos0", floor: 0.10, aim: 0.03},
		{measure: "CPU per delivery, fan-out 1→100, vs 2.0.11", key: "fanout", floor: 0.15, aim: 0.05},
		{measure: "CPU per delivery, QoS 1 1:1, vs 2.0.11", key: "qos1", floor: 0.35, aim: 0.12},
		{measure: "CPU per delivery, QoS 2 1:1, vs 2.0.11", key: "qos2", floor: 0.25, aim: 0.10},
		{measure: "delivered/s, 16 KB 1:1, vs 2.0.11", key: "large", floor: 1.3, aim: 2, more: true},
		{measure: "p99.9 latency at 1,000 msg/s, vs default install", key: "latency", floor: 0.1, aim: 0.02},
		{measure: "CPU at 1,000 msg/s, vs default install", key: "latency-cpu", floor: 2.5, aim: 1.3},
		{measure: "in-memory round trip vs own TCP, raw client", key: "memory-raw", floor: 0.3, aim: 0.2},
		{measure: "in-memory round trip vs own TCP, autopaho", key: "memory-autopaho", floor: 0.6, aim: 0.4},
		{measure: "durable QoS 1, 8 publishers, 100 in flight", key: "durable", floor: 50000, aim: 150000, more: true, unit: "/s"},
		{measure: "100k retained: replay complete, time vs 2.0.11", key: "replay", floor: 0.5, aim: 0.2},
		{measure: "100k retained: narrow wildcard among them", key: "narrow", floor: 1, aim: 0.2, unit: " ms"},
		{measure: "100k retained: restart to first CONNACK", key: "restart", floor: 500, aim: 130, unit: " ms"},
		{measure: "100k retained: RSS", key: "retained-rss", floor: 150, aim: 80, unit: " MiB"},
		{measure: "RSS per idle connection", key: "connection-rss", floor: 32, aim: 12, unit: " KiB"},
		{measure: "idle with 100k retained: CPU of a core", key: "idle-cpu", floor: 0.5, aim: 0.5, unit: " %"},
	}
}

// verdict compares a measurement with the limits.
func (r row) verdict(m measured) string {
	reached := func(limit float64) bool {
		if r.more {
			return m.value >= limit
		}
		return m.value <= limit
	}
	switch {
	case m.err != nil:
		return "not measured"
	case math.IsNaN(m.value) || math.IsInf(m.value, 0):
		return "**no number**"
	case reached(r.aim):
		return "aim"
	case reached(r.floor):
		return "floor"
	}
	return "**missed**"
}

// number writes v with three significant digits and no exponent.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1000:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// writeTable prints the rows whose measurements were asked for and says whether all of
// them reach their floor.
func writeTable(w io.Writer, results map[string]measured) (ok bool, err error) {
	var b strings.Builder
	b.WriteString("| measure | floor | aim | measured | verdict |\n| --- | --- | --- | --- | --- |\n")
	ok = true
	for _, r := range rows() {
		m, asked := results[r.key]
		if !asked {
			continue
		}
		sign := "≤ "
		if r.more {
			sign = "≥ "
		}
		value := number(m.value) + r.unit
		if m.err != nil {
			value = m.err.Error()
		} else if m.detail != "" {
			value += " (" + m.detail + ")"
		}
		v := r.verdict(m)
		ok = ok && (v == "aim" || v == "floor")
		fmt.Fprintf(&b, "| %s | %s%s%s | %s%s%s | %s | %s |\n", r.measure,
			sign, limit(r.floor), r.unit, sign, limit(r.aim), r.unit, oneLine(value), v)
	}
	_, err = io.WriteString(w, b.String())
	return ok, err
}

// limit writes a limit as people do.
func limit(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%g", v), ".0") }

// oneLine keeps a cell from breaking the table.
func oneLine(s string) string {
	return strings.NewReplacer("\n", "; ", "|", "/").Replace(strings.TrimSpace(s))
}
