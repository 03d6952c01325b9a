package main

import (
	"context"
	"os"

	"github.com/tarsd/tarsd/internal/mqttcli"
)

// pubCmd publishes. Its arguments are parsed by mqttcli, because they follow mosquitto_pub, whose
// -h is the host and whose -D takes three or four words: the field in cli has to be tagged
// `passthrough:""`.
type pubCmd struct {
	Args []string `arg:"" optional:"" help:"See 'tarsd pub --help'."`
}

// Run publishes and returns the exit code of mosquitto_pub.
func (c pubCmd) Run(ctx context.Context, std stdio) error {
	return exitStatus(mqttcli.Pub(ctx, c.Args, mqttcli.Streams{In: std.In, Out: std.Out, Err: std.Err, Getenv: os.Getenv}))
}

// exitStatus makes an error of an exit code other than 0. What went wrong was printed already.
func exitStatus(code int) error {
	if code == 0 {
		return nil
	}
	return status(code)
}

type status int

func (status) Error() string { return "" }

// ExitCode is what the process ends with.
func (s status) ExitCode() int { return int(s) }
