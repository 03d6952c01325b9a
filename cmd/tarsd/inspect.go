package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/tarsd/tarsd/internal/app"
	"github.com/tarsd/tarsd/internal/inspect/feed"
	"github.com/tarsd/tarsd/internal/inspect/screen"
	"github.com/tarsd/tarsd/internal/mqttcli"
	"github.com/tarsd/tarsd/services/client"
)

// inspectFlag is how people call the command: it reads as a flag of the program.
const inspectFlag = "--inspect"

// codeNothing is the exit code when nothing came in time, as that of sub -W.
const codeNothing status = 27

type inspectCmd struct {
	configFlags
	URL     string        `arg:"" optional:"" help:"Broker: mqtt, mqtts, ws, wss or unix URL, with user:password@ if need be. Without one the tarsd of the data directory."`
	Filter  []string      `sep:"none" short:"f" placeholder:"FILTER" help:"Only topics that match; repeats. Without one all, the broker's own included."`
	JSON    bool          `name:"json" help:"Print messages as JSON, a line each; also when the output is no terminal."`
	Count   int           `short:"n" placeholder:"N" help:"With JSON: end after so many messages."`
	Timeout time.Duration `placeholder:"TIME" help:"With JSON: end after that time, such as 5s; with exit code 27 if less than N messages, or none, have come."`
	User    string        `short:"u" placeholder:"NAME" help:"User name; the password is in TARSD_PASSWORD."`
	CAFile  string        `name:"cafile" placeholder:"FILE" help:"Authorities for mqtts and wss; else the system's."`
}

// inspectArgs turns `tarsd --inspect [URL] ...`, with --inspect among other flags, into the command.
func inspectArgs(args []string) []string {
	if len(args) == 0 || !strings.HasPrefix(args[0], "-") {
		return args
	}
	for i, a := range args {
		if url, is := strings.CutPrefix(a, inspectFlag+"="); is {
			return slices.Concat([]string{"inspect"}, args[:i], []string{url}, args[i+1:])
		}
		if a == inspectFlag {
			return slices.Concat([]string{"inspect"}, args[:i], args[i+1:])
		}
	}
	return args
}

// Run shows the screen, or prints lines of JSON.
func (c inspectCmd) Run(ctx context.Context, std stdio) error {
	if c.Count < 0 || c.Timeout < 0 {
		return usageError{errors.New("-n and --timeout must not be negative")}
	}
	where := &app.Inspect{Client: client.Options{URL: c.URL}}
	if c.URL == "" {
		cfg, err := c.load()
		if err != nil {
			return err
		}
		where, err = app.FindInspect(ctx, cfg.Config)
		if errors.Is(err, app.ErrNotRunning) {
			return notRunning{err}
		}
		if err != nil {
			return err
		}
	}
	defer where.Close()
	if err := c.complete(&where.Client); err != nil {
		return err
	}
	out, _ := std.Out.(*os.File)
	if c.JSON || out == nil || !isatty.IsTerminal(out.Fd()) {
		return c.lines(ctx, where.Client, std)
	}
	f, err := feed.Connect(ctx, feed.Options{Client: where.Client, Filters: c.Filter, Admin: where.Admin})
	if err != nil {
		return usageError{err}
	}
	return errors.Join(screen.Run(ctx, f, std.In, std.Out), f.Close())
}

// complete adds what the flags say of user and TLS.
func (c inspectCmd) complete(o *client.Options) error {
	if c.User != "" {
		o.Credentials = func(context.Context) (string, client.Secret, error) {
			return c.User, client.Secret(os.Getenv("TARSD_PASSWORD")), nil
		}
	}
	if c.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return fmt.Errorf("--cafile: %w", err)
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	o.TLS.RootCAs = x509.NewCertPool()
	if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("--cafile: %s holds no certificate", c.CAFile)
	}
	return nil
}

// lines are those of `tarsd sub -F %j`, for both are to look alike.
func (c inspectCmd) lines(ctx context.Context, o client.Options, std stdio) error {
	args := []string{"-L", o.URL, "-F", "%j", "--retain-as-published"}
	for _, f := range feed.Filters(c.Filter) {
		args = append(args, "-t", f)
	}
	if c.Count > 0 {
		args = append(args, "-C", strconv.Itoa(c.Count))
	}
	getenv := os.Getenv
	if o.Credentials != nil {
		user, password, err := o.Credentials(ctx)
		if err != nil {
			return err
		}
		args = append(args, "-u", user)
		getenv = func(string) string { return string(password) } // sub asks for the password only
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	if c.Timeout > 0 {
		// Not the context's deadline, which sub would call an error even where enough has come.
		defer time.AfterFunc(c.Timeout, func() { close(over); cancel() }).Stop()
	}
	out := &lineCounter{w: std.Out}
	code := mqttcli.Sub(ctx, args, mqttcli.Streams{In: std.In, Out: out, Err: std.Err, Getenv: getenv, TLS: o.TLS})
	select {
	case <-over:
		if out.n.Load() < int64(max(c.Count, 1)) {
			return codeNothing
		}
	default:
	}
	return exitStatus(code)
}

// lineCounter counts the lines that pass. Whose time is over reads it while sub may still write.
type lineCounter struct {
	w io.Writer
	n atomic.Int64
}

func (l *lineCounter) Write(p []byte) (int, error) {
	l.n.Add(int64(bytes.Count(p, []byte{'\n'})))
	return l.w.Write(p)
}
