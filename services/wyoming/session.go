package wyoming

import (
	"context"
	"errors"
	"io"
	"sync"

	proto "github.com/tarsd/tarsd/internal/wyoming"
)

// ahead is how many events are read before they are worked on.
const ahead = 4

// session is one connection; the goroutine that works owns it.
type session struct {
	h *host
	c *proto.Conn
	// giveUp ends the connection with an error. Anybody may call it.
	giveUp context.CancelCauseFunc

	request proto.Event // the last transcribe or detect: what the sound is for
	ear     *ear        // sound is coming; nil: it is not
	reading *reading    // a text is coming; nil: it is not
}

// handle serves one connection. An end of what the peer sends lets what it asked for be finished; a
// failure of the connection, or garbage on it, ends that at once.
func (h *host) handle(ctx context.Context, c *proto.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	events := make(chan proto.Event, ahead)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		defer close(events)
		for {
			ev, err := c.Read(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				cancel(err)
				return
			}
			select {
			case events <- ev:
			case <-ctx.Done():
				return
			}
		}
	})
	s := &session{h: h, c: c, giveUp: cancel}
	defer func() { s.deafen() }()
	for ev := range events {
		if err := s.do(ctx, ev); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
	return context.Cause(ctx)
}

// do does what one event asks for. Those that are unknown, or answers, are ignored.
func (s *session) do(ctx context.Context, ev proto.Event) error {
	switch ev.Type {
	case proto.TypeDescribe:
		return s.c.Write(ctx, s.h.info.Event())
	case proto.TypePing:
		return s.c.Write(ctx, proto.Event{Type: proto.TypePong, Data: ev.Data})
	case proto.TypeTranscribe, proto.TypeDetect:
		s.deafen() // what came for another request
		s.request = ev
		return nil
	case proto.TypeAudioStart:
		s.deafen()
		return s.listen(ctx, ev)
	case proto.TypeAudioChunk:
		return s.sound(ctx, ev)
	case proto.TypeAudioStop:
		return s.soundEnds(ctx)
	case proto.TypeSynthesize:
		return s.synthesize(ctx, ev)
	case proto.TypeSynthesizeStart:
		return s.synthesizeStart(ev)
	case proto.TypeSynthesizeChunk:
		return s.synthesizeChunk(ctx, ev)
	case proto.TypeSynthesizeStop:
		return s.synthesizeStop(ctx)
	}
	return nil
}
