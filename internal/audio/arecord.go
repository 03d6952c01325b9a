package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// arecord is the source that records by the program of that name.
type arecord struct {
	proc *helper
	out  *os.File
	box  *inbox
	done chan struct{} // closed when nobody reads out any more
}

func openArecord(run command, device string) (Source, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	args := []string{"-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", strconv.Itoa(Rate), "--buffer-time=200000", "--period-time=20000"}
	if device != "" {
		args = append(args, "-D", device)
	}
	a := &arecord{out: r, done: make(chan struct{})}
	if a.box, err = newInbox(Rate, DefaultDepth); err == nil {
		a.proc, err = run.start("arecord", args, nil, w)
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	go func() { // Close waits for it
		defer close(a.done)
		a.pump()
	}()
	return a, nil
}

// pump reads until the program ends, by itself or by Close.
func (a *arecord) pump() {
	b, pcm := make([]byte, 2*FrameLen), make([]int16, 0, FrameLen)
	for {
		n, err := io.ReadFull(a.out, b)
		pcm = AppendSamples(pcm[:0], b[:n])
		a.box.put(pcm)
		if err != nil {
			break
		}
	}
	<-a.proc.done
	err := a.proc.ended()
	if err == nil {
		err = fmt.Errorf("%w: arecord has ended", ErrNoDevice)
	}
	a.box.q.end(err)
}

func (a *arecord) Read(ctx context.Context) (Frame, error) { return a.box.q.next(ctx) }

func (a *arecord) Close() error {
	a.proc.kill()
	err := a.out.Close() // should a child of it still hold the other end
	<-a.done
	return err
}
