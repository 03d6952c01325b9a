package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
)

// audioCmd is for finding out how speaker and microphone are called and whether they work.
type audioCmd struct {
	List audioListCmd `cmd:"" help:"List speakers and microphones, as the configuration names them."`
	Test audioTestCmd `cmd:"" help:"Play a tone of a second, and say what the microphone heard of it."`
}

type audioListCmd struct{}

// Run lists what there is. What could not be asked is said, and no failure while there is anything.
func (audioListCmd) Run(ctx context.Context, std stdio) error {
	list, err := audio.Devices(ctx)
	for _, d := range list {
		kind, mark := "microphone", ""
		if d.Out {
			kind = "speaker"
		}
		if d.Default {
			mark = " (default)"
		}
		fmt.Fprintf(std.Out, "%-10s  %s  %s%s\n", kind, d.Spec, d.Name, mark)
	}
	if len(list) == 0 {
		return fmt.Errorf("audio list: %w", err)
	}
	if err != nil {
		fmt.Fprintln(std.Err, err)
	}
	return nil
}

type audioTestCmd struct {
	Speaker    string `default:"auto" help:"Where to play: auto, pulse[:SINK], aplay[:DEVICE], wav:FILE or none."`
	Microphone string `default:"auto" help:"Where to listen: auto, pulse[:SOURCE], arecord[:DEVICE] or wav:FILE."`
}

// errDeaf is a microphone that did not hear the speaker.
var errDeaf = errors.New("audio test: the microphone did not hear the speaker (with headphones it cannot)")

// Run plays and listens.
func (c audioTestCmd) Run(ctx context.Context, std stdio) error {
	t, err := audio.Try(ctx, c.Speaker, c.Microphone)
	if err != nil {
		return fmt.Errorf("audio test: %w", err)
	}
	fmt.Fprintf(std.Out, "speaker %s: played a tone of a second\n", c.Speaker)
	fmt.Fprintf(std.Out, "microphone %s: %.1f dBFS of noise, %.1f dBFS at the loudest\n", c.Microphone, t.Noise.DBFS(), t.Loud.DBFS())
	if !t.Heard() {
		return errDeaf
	}
	fmt.Fprintf(std.Out, "heard after %s, alike by %.2f of 1\n", t.Delay.Round(time.Millisecond), t.Alike)
	return nil
}
