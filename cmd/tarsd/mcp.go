package main

import (
	"context"

	"github.com/tarsd/tarsd/internal/app"
	"github.com/tarsd/tarsd/internal/config"
)

type mcpCmd struct {
	configFlags
	Broker string `placeholder:"URL" help:"Broker of the robot (mqtt, mqtts, ws, wss, unix), instead of the tarsd of the data directory. See broker.url."`
}

// Run serves the robot's tools to an MCP client on the standard streams. The log is on stderr: what
// is not of the protocol must not be on stdout.
func (c mcpCmd) Run(ctx context.Context, std stdio) error {
	var more []config.Assignment
	if c.Broker != "" {
		more = append(more, config.Assignment{Key: "broker.url", Value: c.Broker, From: "--broker"})
	}
	cfg, err := c.load(more...)
	if err != nil {
		return err
	}
	return app.MCP(ctx, cfg.Config, version(), std.In, std.Out, newLogger(cfg.Log, std.Err))
}
