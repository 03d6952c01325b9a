package audio

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jfreymuth/pulse/proto"
)

// pulseSink plays on a sound server. The server says how much it takes: there is no clock of ours.
type pulseSink struct {
	p      *pulseConn
	index  uint32
	rate   int
	gate   *gate
	device time.Duration  // what the device itself holds, which a flush cannot take from every one
	wait   sync.WaitGroup // drains that the server has not answered
	corked bool           // belongs to whoever has the gate's turn: nothing plays, and the device may sleep

	mu     sync.Mutex // guards what follows
	credit int        // bytes that the server wants
	lost   error
	wake   chan struct{} // says that one of them changed
}

// pulseTarget takes "SINK@SERVER" apart.
func pulseTarget(arg string) (name, server string) {
	name, server, _ = strings.Cut(arg, "@")
	return name, server
}

func openPulseSink(ctx context.Context, arg string, rate int) (Sink, error) {
	name, server := pulseTarget(arg)
	p, err := dialPulse(ctx, server)
	if err != nil {
		return nil, err
	}
	s := &pulseSink{p: p, rate: rate, gate: newGate(), corked: true, wake: make(chan struct{}, 1)}
	bytes := func(d time.Duration) uint32 { return uint32(d.Seconds()*float64(rate)) * 2 }
	q := &proto.CreatePlaybackStream{
		SampleSpec:            proto.SampleSpec{Format: proto.FormatInt16LE, Channels: 1, Rate: uint32(rate)},
		ChannelMap:            proto.ChannelMap{proto.ChannelMono},
		ChannelVolumes:        proto.ChannelVolumes{uint32(proto.VolumeNorm)},
		SinkIndex:             proto.Undefined,
		SinkName:              name,
		BufferMaxLength:       bytes(2 * Ahead),
		BufferTargetLength:    bytes(Ahead),
		BufferPrebufferLength: bytes(40 * time.Millisecond),
		BufferMinimumRequest:  bytes(FrameTime),
		Corked:                true,
		AdjustLatency:         true, // Ahead counts the device's own buffer in, or a stop would take longer
		Properties:            proto.PropList{"media.name": proto.PropListString("speech")},
	}
	var r proto.CreatePlaybackStreamReply
	if err := p.request(q, &r); err != nil {
		p.close()
		return nil, fmt.Errorf("%w: play on %q: %w", ErrNoDevice, name, err)
	}
	s.index, s.credit, s.device = r.StreamIndex, int(r.Missing), time.Duration(r.SinkLatency)*time.Microsecond
	if err := p.join(s.index, s); err != nil {
		p.close()
		return nil, err
	}
	return s, nil
}

func (s *pulseSink) request(n int) {
	s.mu.Lock()
	s.credit += n
	s.mu.Unlock()
	s.stir()
}

func (s *pulseSink) data([]byte) {}

func (s *pulseSink) killed(reason error) {
	s.mu.Lock()
	s.lost = reason
	s.mu.Unlock()
	s.stir()
}

func (s *pulseSink) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take waits until the server wants sound, and returns how many samples of at most n.
func (s *pulseSink) take(ctx context.Context, n int) (int, error) {
	stuck := time.NewTimer(pulseTimeout)
	defer stuck.Stop()
	for {
		s.mu.Lock()
		lost := s.lost
		got := min(s.credit/2, n)
		s.credit -= 2 * got
		s.mu.Unlock()
		if lost != nil {
			return 0, lost
		}
		if got > 0 {
			return got, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-stuck.C:
			return 0, fmt.Errorf("%w: the speaker takes no sound", errLost)
		}
	}
}

// cork tells the server whether there is something to play. A device on which nothing plays is put to
// sleep, one with an idle stream is not.
func (s *pulseSink) cork(on bool) error {
	if s.corked == on {
		return nil
	}
	if err := s.p.request(&proto.CorkPlaybackStream{StreamIndex: s.index, Corked: on}, nil); err != nil {
		return fmt.Errorf("%w: begin or end to play: %w", errLost, err)
	}
	s.corked = on
	return nil
}

// Write sends samples as the server wants them.
func (s *pulseSink) Write(ctx context.Context, pcm []int16) error {
	ctx, leave, err := s.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.cork(false); err != nil {
		return err
	}
	var buf []byte
	for len(pcm) > 0 {
		n, err := s.take(ctx, min(len(pcm), s.rate/50))
		if err != nil {
			return err
		}
		buf = AppendBytes(buf[:0], pcm[:n])
		if err := s.p.c.Send(s.index, buf); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		pcm = pcm[n:]
	}
	return nil
}

// Drain waits for the server and then for the device: the server answers when it has handed the
// last sample on, and a stream that ends then loses what the device has not played.
func (s *pulseSink) Drain(ctx context.Context) error {
	ctx, leave, err := s.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	if lost != nil || s.corked {
		return lost
	}
	reply := make(chan error, 1)
	var end time.Time
	s.wait.Go(func() {
		var err error
		end, err = s.end()
		if err == nil {
			err = s.p.request(&proto.DrainPlaybackStream{StreamIndex: s.index}, nil)
		}
		reply <- err
	})
	select {
	case err := <-reply:
		if err != nil {
			return fmt.Errorf("play to the end: %w", err)
		}
		if err := sleep(ctx, time.Until(end)); err != nil {
			return err
		}
		return s.cork(true)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end returns when the last sample that was written will have been played.
func (s *pulseSink) end() (time.Time, error) {
	now := time.Now()
	var r proto.GetPlaybackLatencyReply
	if err := s.p.request(&proto.GetPlaybackLatency{StreamIndex: s.index}, &r); err != nil {
		return now, err
	}
	queued := Duration(int(max(0, min(r.WriteIndex-r.ReadIndex, int64(4*s.rate)))), 2*s.rate)
	device := time.Duration(min(uint64(r.Latency), 2_000_000)) * time.Microsecond
	return now.Add(queued + device), nil
}

// Flush has the server forget what has not been played.
func (s *pulseSink) Flush() error {
	leave, fresh := s.gate.overtake(ErrFlushed)
	defer leave()
	if !fresh {
		return nil
	}
	if err := s.p.request(&proto.FlushPlaybackStream{StreamIndex: s.index}, nil); err != nil {
		return fmt.Errorf("stop playing: %w", err)
	}
	return s.cork(true)
}

// Close ends the connection; the server takes the stream away at once.
func (s *pulseSink) Close() error {
	leave, fresh := s.gate.overtake(ErrClosed)
	defer leave()
	if fresh {
		s.p.close()
		s.wait.Wait()
	}
	return nil
}
