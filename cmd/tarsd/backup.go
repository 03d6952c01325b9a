package main

import (
	"context"
	"fmt"

	"github.com/tarsd/tarsd/internal/app"
)

type backupCmd struct {
	configFlags
	File string `arg:"" help:"File to write; it must not exist."`
}

// Run writes a backup.
func (c backupCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	n, err := app.Backup(ctx, cfg.Config, c.File, newLogger(cfg.Log, std.Err))
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	fmt.Fprintf(std.Out, "wrote %s, %d bytes, verified\n", c.File, n)
	return nil
}
