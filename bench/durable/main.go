// Command durable measures how many QoS 1 messages a broker acknowledges in a second when
// each has to be safe first: every publisher keeps a window of unacknowledged messages,
// and every message is queued for a persistent session, whose client is connected and
// acknowledges, or is away (-offline). It prints JSON and talks to loopback only.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "durable:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var c config
	f := flag.NewFlagSet("durable", flag.ContinueOnError)
	f.StringVar(&c.Addr, "addr", "127.0.0.1:1883", "address of the broker")
	f.IntVar(&c.PID, "pid", 0, "process of the broker, to report its processor time")
	f.IntVar(&c.Publishers, "pubs", 8, "publishers, each with a persistent subscriber of its own")
	f.IntVar(&c.Inflight, "inflight", 100, "unacknowledged messages of each publisher")
	f.IntVar(&c.Count, "count", 40000, "messages of each publisher")
	f.IntVar(&c.Size, "size", 128, "payload bytes")
	f.IntVar(&c.Rounds, "rounds", 5, "repetitions; the median counts")
	f.BoolVar(&c.Offline, "offline", false, "the subscribers are away")
	if err := f.Parse(args); err != nil {
		return err
	}
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return fmt.Errorf("-addr: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("-addr: %s is no loopback address", host)
	}
	if c.Publishers < 1 || c.Inflight < 1 || c.Inflight > 65535 || c.Count < c.Inflight || c.Rounds < 1 {
		return fmt.Errorf("an option is out of range")
	}
	r, err := c.measure(ctx)
	if err != nil {
		return err
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// config is what a run does; it is part of the report.
type config struct {
	Addr       string `json:"-"`
	PID        int    `json:"-"`
	Publishers int    `json:"publishers"`
	Inflight   int    `json:"inflight"`
	Count      int    `json:"count_per_publisher"`
	Size       int    `json:"size"`
	Rounds     int    `json:"rounds"`
	Offline    bool   `json:"offline"`
}

// report is the result; the rates are of acknowledged messages.
type report struct {
	Config    config    `json:"config"`
	PerSec    float64   `json:"per_s"` // median of the rounds
	Rates     []float64 `json:"rates"`
	CPUPerMsg float64   `json:"cpu_us_per_message,omitempty"` // median; processor time of the broker
	Lost      int       `json:"lost"`                         // acknowledged, and not delivered within the limit
}

// drainLimit is how long a delivery may take after the last acknowledgement.
const drainLimit = 20 * time.Second
