// Command cmd measures tarsd against an installed Mosquitto and prints the rows of
// design.md section 8 that concern the broker as a Markdown table. bench/run.sh builds
// what it needs and starts it; docs/benchmarks.md says how to read the result.
//
// It owns the brokers that it measures: each measurement starts its own on free ports of
// loopback with data in a temporary directory, and ends them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errFloor says that a figure misses its floor; the table shows which.
var errFloor = errors.New("not every row reaches its floor")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	b := &bench{}
	var only string
	var strict bool
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&b.tarsd, "tarsd", "", "the tarsd program")
	f.StringVar(&b.mosquitto, "mosquitto", "mosquitto", "the mosquitto program")
	f.StringVar(&b.mqttload, "mqttload", "", "the mqttload program")
	f.StringVar(&b.durable, "durable", "", "the program of bench/durable")
	f.StringVar(&b.root, "root", ".", "root of the module, for go test -bench")
	f.IntVar(&b.rounds, "rounds", 5, "paired rounds of each measurement")
	f.Float64Var(&b.seconds, "seconds", 2.5, "length of one run of a load")
	f.StringVar(&only, "only", "", "regular expression: measurements to run; all if empty")
	f.BoolVar(&strict, "strict", false, "exit status 1 if a row misses its floor")
	if err := f.Parse(args); err != nil {
		return err
	}
	if b.rounds < 1 || b.seconds <= 0 || f.NArg() > 0 {
		f.Usage()
		return errors.New("bad arguments")
	}
	pick, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if b.tmp, err = os.MkdirTemp("", "tarsd-bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.tmp)
	b.say = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }

	results := b.measureAll(ctx, pick)
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stdout, "%s, %d rounds of %g s; %s; %s/%s, %d processors\n\n", time.Now().UTC().Format("2006-01-02 15:04"),
		b.rounds, b.seconds, firstLine(ctx, b.mosquitto, "-h"), runtime.GOOS, runtime.GOARCH, runtime.NumCPU()); err != nil {
		return err
	}
	ok, err := writeTable(stdout, results)
	if err == nil && !ok && strict {
		err = errFloor
	}
	return err
}

// measureAll runs what was picked. A measurement that fails does not stop the others.
func (b *bench) measureAll(ctx context.Context, pick *regexp.Regexp) map[string]measured {
	results := map[string]measured{}
	for _, m := range measurements() {
		if !pick.MatchString(m.name) || ctx.Err() != nil {
			continue
		}
		t0 := time.Now()
		r, err := m.run(b, ctx)
		for _, k := range m.keys {
			if err != nil {
				results[k] = measured{err: err}
				b.say("%s: %v", m.name, err)
				continue
			}
			results[k] = r[k]
		}
		b.say("%-12s %5.1f s", m.name, time.Since(t0).Seconds())
	}
	return results
}

// firstLine is the first line of what a program prints, such as its version. Mosquitto
// exits with a status when it shows its help.
func firstLine(ctx context.Context, name string, args ...string) string {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	if line == "" && err != nil {
		return err.Error()
	}
	return line
}

// stderrOf is what a program that failed said last.
func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return tailOf(string(exit.Stderr), 300)
	}
	return ""
}
