// Package mqttcli is `tarsd pub` and `tarsd sub`: command line clients with the options, the output
// and the exit codes of mosquitto_pub and mosquitto_sub, for any broker. It speaks MQTT 5 through
// paho.golang, and 3.1.1 and 3.1 through paho.mqtt.golang.
//
// It parses its own arguments, because these commands take what flag libraries do not: -h for the
// host, values that begin with a dash, and -D with three or four words.
package mqttcli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Streams are what a command reads, writes and knows of its surroundings.
type Streams struct {
	In     io.Reader
	Out    io.Writer
	Err    io.Writer
	Getenv func(string) string
	// TLS takes the place of what the options say of certificates, for mqtts and wss. It may be nil.
	TLS *tls.Config
}

// Exit codes that are not MQTT reason codes. They are libmosquitto's.
const (
	exitUsage    = 1 // also: cannot connect
	exitLost     = 7
	exitTimedOut = 27
)

// lockedWriter lets the goroutines of a connection and of the command write lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// exitError ends a command with a code. An empty text says nothing.
type exitError struct {
	code int
	text string
}

func (e *exitError) Error() string { return e.text }

func exitf(code int, format string, a ...any) error {
	return &exitError{code, fmt.Sprintf(format, a...)}
}

// usageError is a mistake in the arguments.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func usagef(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// errHelp asks for the usage text.
var errHelp = errors.New("help")

// Pub runs `tarsd pub` and returns its exit code. What went wrong is on Err already.
func Pub(ctx context.Context, args []string, s Streams) int {
	return run(ctx, "pub", pubUsage, args, s, publish)
}

// Sub runs `tarsd sub` and returns its exit code. What went wrong is on Err already.
func Sub(ctx context.Context, args []string, s Streams) int {
	return run(ctx, "sub", subUsage, args, s, subscribe)
}

func run(ctx context.Context, name, usage string, args []string, s Streams, f func(context.Context, *options, Streams) error) int {
	s.Err = &lockedWriter{w: s.Err}
	o, err := parse(name, args, s.Getenv)
	if errors.Is(err, errHelp) {
		fmt.Fprint(s.Out, usage)
		return 0
	}
	if err == nil && o.tlsConf != nil && s.TLS != nil {
		o.tlsConf = s.TLS
	}
	if err == nil {
		err = f(ctx, o, s)
	}
	if err == nil {
		return 0
	}
	code := exitUsage
	if e := (*exitError)(nil); errors.As(err, &e) {
		code = e.code
	}
	if text := err.Error(); text != "" && (o == nil || !o.quiet) {
		fmt.Fprintf(s.Err, "tarsd %s: %s\n", name, text)
	}
	if e := (*usageError)(nil); errors.As(err, &e) {
		fmt.Fprintf(s.Err, "Use 'tarsd %s --help' to see usage.\n", name)
	}
	return code
}
