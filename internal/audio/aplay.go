package audio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// aplay is the peer that plays by the program of that name: one process for each utterance, so that
// a stop is a kill, which ALSA takes at once, and a device that came back is opened by the next.
type aplay struct {
	run    command
	device string
	rate   int
	proc   *helper // nil between utterances
	in     *os.File
}

// pipeSize is the least that Linux gives a pipe: 85 ms at 24 kHz. The usual 64 KiB would be seconds.
const pipeSize = 4096

func newAplay(run command, device string, rate int) (Sink, error) {
	if _, err := exec.LookPath(run.path("aplay")); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	return NewPeerSink(&aplay{run: run, device: device, rate: rate}, rate, Ahead), nil
}

func (a *aplay) start() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if err := shrink(w); err != nil {
		return errors.Join(err, r.Close(), w.Close())
	}
	args := []string{"-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", strconv.Itoa(a.rate), "--buffer-time=100000", "--period-time=20000"}
	if a.device != "" {
		args = append(args, "-D", a.device)
	}
	h, err := a.run.start("aplay", append(args, "-"), r, nil)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	a.proc, a.in = h, w
	return nil
}

// shrink makes a pipe small. It keeps it non-blocking, which File.Fd would not, for the deadlines.
func shrink(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := c.Control(func(fd uintptr) { _, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize) })
	if err = errors.Join(cerr, err); err != nil {
		return fmt.Errorf("shrink a pipe: %w", err)
	}
	return nil
}

// Send writes into the pipe.
func (a *aplay) Send(ctx context.Context, pcm []int16) error {
	if a.proc == nil {
		if err := a.start(); err != nil {
			return err
		}
	}
	if err := a.in.SetWriteDeadline(time.Now().Add(pulseTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() {
		a.in.SetWriteDeadline(time.Now()) //nolint:errcheck // it was possible before
	})
	_, err := a.in.Write(AppendBytes(nil, pcm))
	stop()
	if err == nil || ctx.Err() != nil {
		return err
	}
	// It has ended, or hangs: what it said tells more than a broken pipe.
	select {
	case <-a.proc.done:
	case <-time.After(100 * time.Millisecond):
	}
	h := a.proc
	a.kill()
	if ended := h.ended(); ended != nil {
		return ended
	}
	return fmt.Errorf("%w: aplay: %w", ErrNoDevice, err)
}

// End lets it play to the end, or kills it.
func (a *aplay) End(ctx context.Context, dropped bool) error {
	if a.proc == nil {
		return nil
	}
	if dropped {
		a.kill()
		return nil
	}
	a.in.Close()
	err := a.proc.wait(ctx)
	if ctx.Err() != nil {
		return err // a flush will kill it
	}
	a.proc = nil
	return err
}

func (a *aplay) kill() {
	a.in.Close()
	a.proc.kill()
	a.proc = nil
}
