package audio

import (
	"context"
	"fmt"
	"time"
)

// Peer is a speaker without a clock that we could ask: one at the other end of a topic, a page, a
// program. It is called by one goroutine at a time and returns when its context ends.
type Peer interface {
	// Send hands over at most 20 ms, some time before they are due.
	Send(ctx context.Context, pcm []int16) error
	// End tells that the utterance is over. Dropped: what has not been played is to be forgotten,
	// else End comes when all should have been played.
	End(ctx context.Context, dropped bool) error
}

// PeerSink plays on a Peer in real time, by the clock of this machine.
type PeerSink struct {
	peer  Peer
	rate  int
	ahead time.Duration
	gate  *gate

	// These belong to whoever has the gate's turn.
	until time.Time // when all that was sent has been played
	open  bool      // something was sent since the last End
}

var _ Sink = (*PeerSink)(nil)

// endTime bounds how long a peer may take over an end that nobody waits for.
const endTime = time.Second

// NewPeerSink returns a sink that keeps the peer the given time ahead, 40 ms to 5 s.
func NewPeerSink(peer Peer, rate int, ahead time.Duration) *PeerSink {
	return &PeerSink{peer: peer, rate: rate, ahead: max(40*time.Millisecond, min(5*time.Second, ahead)), gate: newGate()}
}

// Write sends samples as they become due.
func (s *PeerSink) Write(ctx context.Context, pcm []int16) error {
	ctx, leave, err := s.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	piece := s.rate / 50
	for len(pcm) > 0 {
		n := min(piece, len(pcm))
		unheard := max(0, time.Until(s.until)) // which is far from zero before the first piece
		if err := sleep(ctx, unheard+Duration(n, s.rate)-s.ahead); err != nil {
			return err
		}
		s.open = true
		if err := s.peer.Send(ctx, pcm[:n]); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("play: %w", err)
		}
		if now := time.Now(); s.until.Before(now) {
			s.until = now
		}
		s.until = s.until.Add(Duration(n, s.rate))
		pcm = pcm[n:]
	}
	return nil
}

// Drain waits until all should have been played, and ends the utterance.
func (s *PeerSink) Drain(ctx context.Context) error {
	ctx, leave, err := s.gate.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := sleep(ctx, time.Until(s.until)); err != nil || !s.open {
		return err
	}
	s.open = false
	if err := s.peer.End(ctx, false); err != nil {
		if ctx.Err() != nil {
			s.open = true // a flush ends it otherwise
			return context.Cause(ctx)
		}
		return fmt.Errorf("play to the end: %w", err)
	}
	return nil
}

// Flush ends the utterance and has the peer forget the rest.
func (s *PeerSink) Flush() error { return s.stop(ErrFlushed) }

// Close flushes, and plays no more.
func (s *PeerSink) Close() error { return s.stop(ErrClosed) }

func (s *PeerSink) stop(cause error) error {
	leave, _ := s.gate.overtake(cause)
	defer leave()
	s.until = time.Time{}
	if !s.open {
		return nil
	}
	s.open = false
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if err := s.peer.End(ctx, true); err != nil {
		return fmt.Errorf("stop playing: %w", err)
	}
	return nil
}
