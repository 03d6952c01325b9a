package main

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/app"
	"github.com/tarsd/tarsd/internal/config"
)

type runCmd struct {
	serveFlags
}

// Run serves until ctx ends.
func (c runCmd) Run(ctx context.Context, std stdio) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	return app.Run(ctx, app.Options{Config: cfg, Version: version(), Log: newLogger(cfg.Log, std.Err)})
}

// newLogger writes text for people on a terminal and JSON for everything else.
func newLogger(c config.Log, w io.Writer) zerolog.Logger {
	level, err := zerolog.ParseLevel(string(c.Level))
	if err != nil {
		level = zerolog.InfoLevel // the configuration was validated
	}
	f, _ := w.(*os.File)
	terminal := f != nil && isatty.IsTerminal(f.Fd())
	if c.Format == config.FormatText || (c.Format == config.FormatAuto && terminal) {
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.DateTime, NoColor: !terminal || os.Getenv("NO_COLOR") != ""}
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger()
}
