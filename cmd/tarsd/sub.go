package main

import (
	"context"
	"os"

	"github.com/tarsd/tarsd/internal/mqttcli"
)

// subCmd subscribes and prints. As with pubCmd, its arguments are mosquitto_sub's and its field in
// cli has to be tagged `passthrough:""`.
type subCmd struct {
	Args []string `arg:"" optional:"" help:"See 'tarsd sub --help'."`
}

// Run prints messages and returns the exit code of mosquitto_sub.
func (c subCmd) Run(ctx context.Context, std stdio) error {
	return exitStatus(mqttcli.Sub(ctx, c.Args, mqttcli.Streams{In: std.In, Out: std.Out, Err: std.Err, Getenv: os.Getenv}))
}
