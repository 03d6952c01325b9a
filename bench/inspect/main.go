// Command inspect measures what an inspector costs: one tarsd without services, publishers that send
// 20,000 messages a second on 200 topics of the contract and others, and a subscriber to one in a hundred
// that measures how long messages take; first without an inspector, then with one that shows all of them
// on a terminal of 120 by 40. It prints latency, CPU and memory of both, and what the inspector missed.
//
//	go build -o tarsd ./cmd/tarsd && go run ./bench/inspect -tarsd ./tarsd
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/internal/inspect/feed"
	"github.com/tarsd/tarsd/internal/inspect/screen"
	"github.com/tarsd/tarsd/services/client"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tarsd := flag.String("tarsd", "./tarsd", "the program")
	rate := flag.Int("rate", 20_000, "messages a second")
	seconds := flag.Int("seconds", 20, "of each measurement")
	inspector := flag.String("inspector", "", "be the inspector of this broker (the command calls itself so)")
	flag.Parse()
	var err error
	if *inspector != "" {
		err = watch(ctx, *inspector)
	} else {
		err = measure(ctx, os.Stdout, *tarsd, *rate, time.Duration(*seconds)*time.Second)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "inspect:", err)
		os.Exit(1)
	}
}

// seen is what the inspector tells at its end.
type seen struct {
	Messages uint64
	Missed   int
	Drawn    int64 // bytes
	Limits   []string
}

// counter counts what is written to the terminal.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// watch is the inspector as people see it, with a counter in the place of the terminal.
func watch(ctx context.Context, url string) error {
	f, err := feed.Connect(ctx, feed.Options{Client: client.Options{URL: url}})
	if err != nil {
		return err
	}
	out := &counter{}
	keys, typed := io.Pipe()
	context.AfterFunc(ctx, func() { _ = typed.Close() })
	time.AfterFunc(warm/2, func() { _, _ = io.WriteString(typed, "o") }) // all topics of bench unfolded: each frame differs
	err = screen.Run(ctx, f, keys, out, tea.WithWindowSize(120, 40), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	s := seen{Missed: f.Status().Missed, Drawn: out.n.Load()}
	f.With(func(m *inspect.Model) {
		s.Messages, _ = m.Totals()
		s.Limits = m.Hit()
	})
	return errors.Join(err, f.Close(), json.NewEncoder(os.Stdout).Encode(s))
}

const (
	topics     = 200
	publishers = 4
	warm       = 2 * time.Second
	beat       = 5 * time.Millisecond
)

func measure(ctx context.Context, w io.Writer, program string, rate int, d time.Duration) error {
	dir, err := os.MkdirTemp("", "inspect-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	url := "tcp://" + freePort()
	broker, err := start(ctx, program, "run", "--data", dir, "--listen", url, "--http", "off", "--services", "none",
		"--set", "limits.rate.messages=1000000", "--set", "limits.rate.bytes=1GiB")
	if err != nil {
		return err
	}
	defer broker.end()
	for _, with := range []bool{false, true} {
		if err := phase(ctx, w, broker, url, rate, d, with); err != nil {
			return err
		}
	}
	return nil
}

// phase measures once.
func phase(ctx context.Context, w io.Writer, broker *process, url string, rate int, d time.Duration, with bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var inspector *process
	if with {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if inspector, err = start(ctx, self, "-inspector", url); err != nil {
			return err
		}
		defer inspector.end()
	}
	l, err := listen(ctx, url)
	if err != nil {
		return err
	}
	var sent atomic.Int64
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			if err := publish(ctx, url, i, rate/publishers, &sent); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "inspect:", err)
			}
		})
	}
	wait(ctx, warm)
	l.reset()
	n0, t0, cpu0 := sent.Load(), time.Now(), broker.cpu()
	own0 := inspector.cpu()
	wait(ctx, d)
	took := time.Since(t0).Seconds()
	name := "without an inspector"
	if with {
		name = "with an inspector"
	}
	fmt.Fprintf(w, "%s\n  published   %.0f messages a second\n", name, float64(sent.Load()-n0)/took)
	fmt.Fprintf(w, "  broker      CPU %.0f %% of a core, memory %d MiB\n", 100*(broker.cpu()-cpu0)/took, broker.rss()>>20)
	l.print(w)
	if with {
		fmt.Fprintf(w, "  inspector   CPU %.0f %% of a core, memory %d MiB\n", 100*(inspector.cpu()-own0)/took, inspector.rss()>>20)
	}
	cancel()
	wg.Wait()
	if !with {
		return nil
	}
	inspector.end()
	var s seen
	if err := json.Unmarshal([]byte(inspector.out.String()), &s); err != nil {
		return fmt.Errorf("what the inspector said: %w", err)
	}
	fmt.Fprintf(w, "              took in %d of %d messages, missed %d; drew %d KiB\n", s.Messages, sent.Load(), s.Missed, s.Drawn>>10)
	for _, text := range s.Limits {
		fmt.Fprintf(w, "              %s\n", text)
	}
	return nil
}

// publish sends in small bursts. The first payload of each topic's kind is one of the contract.
func publish(ctx context.Context, url string, who, rate int, sent *atomic.Int64) error {
	c, err := client.Connect(context.WithoutCancel(ctx), client.Options{URL: url, ID: "bench-pub-" + strconv.Itoa(who), NoHealth: true, Heartbeat: -1})
	if err != nil {
		return err
	}
	defer c.Close(context.WithoutCancel(ctx))
	if err := c.Await(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(beat)
	defer tick.Stop()
	begin, n := time.Now(), 0
	for {
		for due := int(time.Since(begin).Seconds() * float64(rate)); n < due; n++ {
			at := strconv.FormatInt(time.Now().UnixNano(), 10)
			topic, payload := "bench/"+strconv.Itoa(who)+"/"+strconv.Itoa(n%(topics/publishers)), `{"at":`+at+`,"text":"some words to fill a message of a usual size, as sensors send"}`
			switch {
			case n%100 == 0:
				topic, payload = "bench/latency", at
			case n%10 == 0:
				topic, payload = "system/keepalive/bench-"+strconv.Itoa(n%7), `{"ok":true,"event":"heartbeat","timestamp":1790000000}`
			}
			if _, err := c.PublishRaw(ctx, topic, []byte(payload), 0, false); err != nil {
				return err
			}
			sent.Add(1)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// listener measures latency.
type listener struct {
	mu   sync.Mutex
	took []time.Duration
}

func listen(ctx context.Context, url string) (*listener, error) {
	c, err := client.Connect(ctx, client.Options{URL: url, ID: "bench-sub", NoHealth: true, Heartbeat: -1})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = c.Close(context.WithoutCancel(ctx)) })
	l := &listener{}
	_, err = c.SubscribeRaw("bench/latency", 0, func(_ context.Context, m client.RawMessage) error {
		at, err := strconv.ParseInt(string(m.Payload), 10, 64)
		if err != nil {
			return err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.took = append(l.took, m.Received.Sub(time.Unix(0, at)))
		return nil
	})
	return l, errors.Join(err, c.Ready(ctx))
}

func (l *listener) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = nil
}

func (l *listener) print(w io.Writer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.took)
	at := func(q float64) float64 {
		if len(l.took) == 0 {
			return 0
		}
		return float64(l.took[min(int(q*float64(len(l.took))), len(l.took)-1)]) / 1e6
	}
	fmt.Fprintf(w, "  subscriber  %d messages, latency median %.2f ms, p99 %.2f ms, longest %.2f ms\n", len(l.took), at(0.5), at(0.99), at(1))
}

// process is a program that was started.
type process struct {
	cmd  *exec.Cmd
	out  strings.Builder
	once sync.Once
}

func start(ctx context.Context, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(context.WithoutCancel(ctx), program, args...)}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, io.Discard
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) end() {
	p.once.Do(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	})
}

// cpu are the seconds of processor that it has used; 0 of no process.
func (p *process) cpu() float64 {
	if p == nil {
		return 0
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	user, _ := strconv.ParseFloat(f[11], 64)
	system, _ := strconv.ParseFloat(f[12], 64)
	return (user + system) / 100 // ticks of USER_HZ
}

// rss is its memory in bytes.
func (p *process) rss() int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
	return pages * os.Getpagesize()
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "127.0.0.1:18839"
	}
	defer l.Close()
	return l.Addr().String()
}
