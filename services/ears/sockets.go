package ears

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
)

// Of the sockets for programs of the old system.
const (
	socketRetry  = 30 * time.Second // one that could not be opened is tried again
	headerLimit  = 8 << 10
	headerWithin = 5 * time.Second
)

// keep serves something until ctx ends. What is in its way is said, and does not keep others from
// hearing.
func (r *run) keep(ctx context.Context, what string, serve func(ctx context.Context, up func()) error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := serve(ctx, func() { r.told.problem(what, nil) }); err != nil && ctx.Err() == nil {
			r.told.problem(what, err)
		}
		timer.Reset(socketRetry)
	}
}

// fanOut is the unix socket by which old wake processes hear the microphone.
func (r *run) fanOut(ctx context.Context, hub *audio.Hub, up func()) error {
	f, err := audio.ListenFanOut(ctx, r.o.FanOut, r.o.FanOutMode)
	if err != nil {
		return err
	}
	defer f.Close()
	l := hub.Listen(0)
	defer l.Close()
	up()
	if err := f.Serve(ctx, l); err != nil {
		return err
	}
	<-ctx.Done() // the sound has ended, and who comes is to hear nothing rather than an error
	return nil
}

// spectrumSocket is the WebSocket by which old pages get the spectrum.
func (r *run) spectrumSocket(ctx context.Context, up func()) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", r.o.Socket)
	if err != nil {
		return fmt.Errorf("spectrum socket: %w", err)
	}
	f := audio.NewFFTSocket(r.o.SocketPath, r.o.Origins)
	srv := &http.Server{Handler: f, ReadHeaderTimeout: headerWithin, MaxHeaderBytes: headerLimit}
	r.fft.Store(f)
	r.log.Info().Stringer("address", ln.Addr()).Str("path", r.o.SocketPath).Msg("spectrum socket")
	up()
	var wg sync.WaitGroup
	failed := make(chan error, 1)
	wg.Go(func() { failed <- srv.Serve(ln) })
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	r.fft.Store(nil)
	err = errors.Join(err, srv.Close(), f.Close())
	wg.Wait()
	return err
}
