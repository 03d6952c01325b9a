package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/tarsd/tarsd/internal/app"
	"github.com/tarsd/tarsd/internal/mqttcli"
)

// Exit codes of status besides 0 and 2: somebody asks it in a script.
const (
	codeDown       status = 1 // something that is required is not up
	codeNotRunning int    = 3 // there is nobody to ask, as in systemctl status
)

// watchEvery is the pace of status --watch.
const watchEvery = 2 * time.Second

// retainedWait is how long a broker elsewhere has to send what it retains, in seconds.
const retainedWait = "2"

type statusCmd struct {
	configFlags
	JSON   bool   `name:"json" help:"Print the report as JSON."`
	Watch  bool   `help:"Print it again every two seconds, until interrupted."`
	Broker string `placeholder:"URL" help:"Read the retained health messages of the broker at this URL (mqtt, mqtts, ws, wss, unix) instead of asking the tarsd of the data directory."`
}

// notRunning is an error with its exit code.
type notRunning struct{ error }

func (notRunning) ExitCode() int { return codeNotRunning }

// Run prints the health of services and devices, and fails if a required one is not up.
func (c statusCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	ask := func() (app.HealthReport, error) { return app.Health(ctx, cfg.Config) }
	if c.Broker != "" {
		ask = func() (app.HealthReport, error) {
			var out, errs bytes.Buffer
			args := []string{"-L", c.Broker, "-t", app.HealthFilter, "-F", app.HealthLine, "--retained-only", "-W", retainedWait}
			if code := mqttcli.Sub(ctx, args, mqttcli.Streams{In: std.In, Out: &out, Err: &errs, Getenv: os.Getenv}); code != 0 && code != 27 {
				return app.HealthReport{}, notRunning{errors.New(strings.TrimSpace(errs.String()))}
			}
			return app.ReadHealth(out.String(), cfg.Config), nil
		}
	}
	f, _ := std.Out.(*os.File)
	v := view{out: std.Out, json: c.JSON, terminal: f != nil && isatty.IsTerminal(f.Fd())}
	v.colour = v.terminal && os.Getenv("NO_COLOR") == ""
	if !c.Watch {
		rep, err := ask()
		if err != nil {
			return statusError(err)
		}
		return v.show(rep, time.Now())
	}
	return v.watch(ctx, ask)
}

func statusError(err error) error {
	if errors.Is(err, app.ErrNotRunning) {
		return notRunning{err}
	}
	return fmt.Errorf("status: %w", err)
}

// view prints reports.
type view struct {
	out                    io.Writer
	json, terminal, colour bool
}

// watch shows a report every watchEvery. Its error is that of the last one.
func (v view) watch(ctx context.Context, ask func() (app.HealthReport, error)) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		rep, err := ask()
		if ctx.Err() != nil {
			return nil
		}
		if v.terminal && !v.json {
			fmt.Fprint(v.out, "\x1b[H\x1b[2J")
		}
		var result error
		if err != nil {
			result = statusError(err)
			fmt.Fprintln(v.out, err)
		} else {
			result = v.show(rep, time.Now())
		}
		select {
		case <-ctx.Done():
			return result
		case <-tick.C:
		}
		if !v.terminal && !v.json {
			fmt.Fprintln(v.out)
		}
	}
}

// show prints one report. Its error has no text: the table says it.
func (v view) show(rep app.HealthReport, now time.Time) error {
	var err error
	if v.json {
		err = json.NewEncoder(v.out).Encode(rep)
	} else {
		_, err = io.WriteString(v.out, v.text(rep, now))
	}
	if err == nil && len(rep.Down) > 0 {
		err = codeDown
	}
	return err
}

func (v view) text(rep app.HealthReport, now time.Time) string {
	var b strings.Builder
	if t := rep.Tarsd; t != nil {
		fmt.Fprintf(&b, "tarsd %s, pid %d, up %s, %d clients: %s", t.Version, t.PID, span(now.Sub(t.Started)), t.Clients, t.Health)
		if t.Reason != "" {
			fmt.Fprintf(&b, " (%s)", t.Reason)
		}
		b.WriteString("\n\n")
	}
	rows := [][]string{{"NAME", "STATE", "SINCE", "LAST SEEN", "LATENCY", "RESTARTS", "DROPS", "WHY"}}
	for _, p := range rep.Peers {
		name, latency := p.Name, "-"
		if p.Required {
			name += " *"
		}
		if p.LatencyMS != nil {
			latency = strconv.FormatFloat(*p.LatencyMS, 'f', 1, 64) + " ms"
		}
		rows = append(rows, []string{name, string(p.State), ago(now, p.Since), ago(now, p.LastSeen), latency, strconv.Itoa(p.Restarts),
			strconv.FormatUint(p.Drops, 10), p.Err})
	}
	if len(rows) == 1 {
		return b.String() + "no service and no device has been seen\n"
	}
	v.table(&b, rows, rep.Peers)
	if rep.Lost > 0 {
		fmt.Fprintf(&b, "\nwhat is said of health came too fast: %d messages were not looked at\n", rep.Lost)
	}
	if len(rep.Down) > 0 {
		fmt.Fprintf(&b, "\nrequired (*) and not up: %s\n", strings.Join(rep.Down, ", "))
	}
	return b.String()
}

// table writes the rows in columns. Colours come after the widths, which they must not change.
func (v view) table(b *strings.Builder, rows [][]string, peers []app.PeerHealth) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell += strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 1 && n > 0 && v.colour {
				cell = paint(peers[n-1]) + cell + "\x1b[0m"
			}
			line.WriteString(cell + "  ")
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// paint is the colour of a peer's state: green, red if it has to be up and is not, else yellow for
// a bad one and none for one that has left.
func paint(p app.PeerHealth) string {
	switch {
	case p.Up:
		return "\x1b[32m"
	case p.Required:
		return "\x1b[31m"
	case p.State == "shutdown" || p.State == "unknown":
		return "\x1b[2m"
	}
	return "\x1b[33m"
}

// ago is how long ago t was, in short.
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(now.Sub(t)) + " ago"
}

// span is a duration with its two largest units at most.
func span(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return strconv.Itoa(int(d.Hours()/24)) + "d"
}
