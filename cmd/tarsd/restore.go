package main

import (
	"context"
	"fmt"

	"github.com/tarsd/tarsd/internal/app"
)

type restoreCmd struct {
	configFlags
	File string `arg:"" help:"Backup to put in the place of the data."`
}

// Run restores a backup.
func (c restoreCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	restarted, err := app.Restore(ctx, cfg.Config, c.File)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	how := ""
	if restarted {
		how = "; the running tarsd serves it"
	}
	fmt.Fprintf(std.Out, "restored %s into %s%s\n", c.File, cfg.DataDir, how)
	return nil
}
