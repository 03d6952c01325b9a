package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/tarsd/tarsd/internal/app"
)

// memoryCmd moves memories out of the running tarsd and into it.
type memoryCmd struct {
	Export memoryExportCmd `cmd:"" help:"Write all memories, one JSON object a line."`
	Import memoryImportCmd `cmd:"" help:"Take memories in: such lines, or the memory file of the system that tarsd replaces."`
}

type memoryExportCmd struct {
	configFlags
	File string `arg:"" optional:"" help:"File to write, which must not exist; without one, to stdout."`
}

// Run writes the memories.
func (c memoryExportCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, std.Err)
	if c.File == "" || c.File == "-" {
		n, err := app.ExportMemory(ctx, cfg.Config, std.Out, log)
		return said(std.Err, n, err)
	}
	f, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("memory export: %w", err)
	}
	n, err := app.ExportMemory(ctx, cfg.Config, f, log)
	if err = errors.Join(err, f.Close()); err != nil {
		err = errors.Join(err, os.Remove(c.File)) // half of them would look like all
	}
	return said(std.Err, n, err)
}

// said tells how an export went.
func said(w io.Writer, n int, err error) error {
	if err != nil {
		return fmt.Errorf("memory export: %w", err)
	}
	fmt.Fprintf(w, "%d memories written\n", n)
	return nil
}

type memoryImportCmd struct {
	configFlags
	File string `arg:"" help:"File to read; - for stdin."`
}

// Run takes memories in.
func (c memoryImportCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	in := std.In
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("memory import: %w", err)
		}
		defer f.Close()
		in = f
	}
	added, skipped, err := app.ImportMemory(ctx, cfg.Config, in, newLogger(cfg.Log, std.Err))
	if err != nil {
		return fmt.Errorf("memory import: %w (%d memories were taken in before)", err, added)
	}
	fmt.Fprintf(std.Out, "%d memories added, %d were there already or are blank\n", added, skipped)
	return nil
}
