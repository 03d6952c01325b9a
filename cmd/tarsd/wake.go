package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/tarsd/tarsd/internal/waketrain"
)

// wakeCmd is about the wake word.
type wakeCmd struct {
	Train wakeTrainCmd `cmd:"" help:"Train the robot to hear a phrase of one's own, and say how well it does."`
}

type wakeTrainCmd struct {
	Phrase     string        `required:"" placeholder:"WORDS" help:"What to hear, such as \"hey tars\": two to four words, written as they are spoken."`
	Out        string        `required:"" placeholder:"FILE" help:"Where the head goes; wake.head of the configuration names it."`
	Recordings string        `placeholder:"DIR" help:"Folder with recordings: positive/*.wav, each the phrase alone, and negative/*.wav, anything else."`
	Seed       uint64        `default:"1" help:"Another number makes another head. The same one makes the same bytes on the same kind of processor."`
	Espeak     string        `default:"auto" placeholder:"PROGRAM" help:"espeak-ng, whose voices are used beside the built-in ones; none for without."`
	Scenes     int           `default:"180" help:"How much to train on, in half minutes."`
	Evaluate   time.Duration `default:"30m" help:"How much sound without the phrase it is judged with."`
}

// Run trains, writes the head, and prints its card.
func (c wakeTrainCmd) Run(ctx context.Context, std stdio) error {
	o := waketrain.Options{
		Phrase: c.Phrase, Recordings: c.Recordings, Seed: c.Seed, Scenes: c.Scenes, Evaluate: c.Evaluate,
		Log: func(format string, args ...any) { fmt.Fprintf(std.Err, format+"\n", args...) },
	}
	switch c.Espeak {
	case "none":
	case "auto":
		if path, err := exec.LookPath("espeak-ng"); err == nil {
			o.Espeak = path
		} else {
			o.Log("espeak-ng is not installed: only the built-in voices speak")
		}
	default:
		o.Espeak = c.Espeak
	}
	f, err := headFile(filepath.Dir(c.Out)) // before the work of minutes
	if err != nil {
		return fmt.Errorf("wake train: %w", err)
	}
	head, report, err := waketrain.Train(ctx, o)
	if err == nil {
		err = errors.Join(head.Write(f), f.Chmod(0o644)) // who serves is often another user
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.Out)
	}
	if err != nil {
		return fmt.Errorf("wake train: %w", errors.Join(err, os.Remove(f.Name())))
	}
	fmt.Fprintf(std.Out, "%s\nwritten to %s\n", report, c.Out)
	return nil
}

// headFile makes a temporary file for a head. Who trains is not always who runs tarsd, so that others may
// read it, which a temporary file does not let them.
func headFile(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, ".wake-*")
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(0o644); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}
