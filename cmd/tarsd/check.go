package main

import (
	"context"
	"fmt"

	"github.com/tarsd/tarsd/internal/app"
)

type checkCmd struct {
	serveFlags
	All bool `help:"Show every key with its value and where it was set."`
}

// Run says what would run, and fails if it would not.
func (c checkCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if c.All {
		for _, v := range cfg.Values() {
			fmt.Fprintf(std.Out, "%s = %s  (%s)\n", v.Key, v.Text, v.Origin)
		}
	}
	findings := app.Check(ctx, cfg)
	for _, f := range findings {
		fmt.Fprintln(std.Out, f)
	}
	if n := app.Failures(findings); n > 0 {
		return fmt.Errorf("check: %d of the above would stop tarsd", n)
	}
	return nil
}
