package stt

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
)

const (
	// lead is how much sound before a microphone was opened belongs to speech: a wake word is known
	// some time after its end, when people already speak on.
	lead = 200 * time.Millisecond
	// maxBacklog is how many utterances wait for an engine. Of more the oldest is given up.
	maxBacklog = 4
	// maxGap is how much sound may be missing within an utterance.
	maxGap = 200 * time.Millisecond
	// maxWait is how long an utterance waits for more sound: who sends only while a button is held sends no
	// silence, and a device may be unplugged. It is as much as a network may hold back (audio.Feed).
	maxWait = 2 * time.Second
)

var blockTime = audio.Duration(BlockLen, audio.Rate)

// site is a microphone. The goroutine that calls hear owns it, but for queue, lost and last.
type site struct {
	o    *Options
	name string
	mics *mics
	det  Detector
	seg  segmenter

	block []int16
	at    time.Time // of the beginning of block
	next  time.Time // when the next frame should begin
	heard time.Time // the end of the utterance so far
	warm  bool      // the detector has heard what was just before
	u     *utterance
	sent  int // samples of the segmenter's sound that u has

	queue chan *utterance
	lost  atomic.Int64 // utterances that no engine had time for
	last  atomic.Int64 // Unix milliseconds of the last frame, as it came; 0: there was none
}

func newSite(o *Options, name string, ms *mics, det Detector) *site {
	return &site{o: o, name: name, mics: ms, det: det, seg: segmenter{o: o}, queue: make(chan *utterance, maxBacklog)}
}

// hear takes the next frame. It does not wait for anybody.
func (s *site) hear(f audio.Frame) {
	if f.Gap && !s.next.IsZero() && f.At.Sub(s.next) > maxGap {
		s.pause(f.At)
	}
	s.next = f.At.Add(audio.FrameTime)
	s.at = f.At.Add(-audio.Duration(len(s.block), audio.Rate))
	s.block = append(s.block, f.PCM...)
	for len(s.block) >= BlockLen {
		s.take(s.block[:BlockLen], s.at)
		s.block = append(s.block[:0], s.block[BlockLen:]...)
		s.at = s.at.Add(blockTime)
	}
}

// await returns the next frame. When that does not come, what is being said is over.
func (s *site) await(ctx context.Context, l *audio.Listener) (audio.Frame, error) {
	if s.u != nil {
		within, cancel := context.WithTimeout(ctx, maxWait)
		f, err := l.Next(within)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return f, err
		}
		s.pause(time.Now())
	}
	return l.Next(ctx)
}

// pause is the end of sound for a time, or for good. Nobody asked the microphone about that, which may be
// muted by now.
func (s *site) pause(now time.Time) {
	if s.mics.gate(s.name, now) == shut {
		s.drop()
	}
	s.end()
	s.block, s.warm, s.seg.pre = s.block[:0], false, s.seg.pre[:0]
}

// take takes the next block.
func (s *site) take(block []int16, at time.Time) {
	level := rms(block)
	g := s.mics.gate(s.name, at)
	switch {
	case g == shut || g == cut:
		s.seg.floor.add(level)
		if g == cut {
			s.end()
		} else {
			s.drop()
		}
		s.seg.pre, s.warm = s.seg.pre[:0], false
		return
	case g == rest && s.u == nil:
		s.seg.floor.add(level)
		s.seg.remember(block, audio.Samples(lead, audio.Rate))
		s.warm = false
		return
	}
	s.heat()
	p := s.det.Process(block)
	s.seg.noise(p, level)
	if s.u == nil {
		if !s.seg.begins(block, p, level) {
			s.seg.remember(block, audio.Samples(s.o.PreRoll, audio.Rate))
			return
		}
		s.begin(at)
		s.heard = at.Add(blockTime)
		s.push()
		return
	}
	s.heard = at.Add(blockTime)
	if limit := s.u.silence.Load(); limit > 0 {
		s.seg.limit = time.Duration(limit)
	}
	switch s.seg.add(block, p, level) {
	case goesOn:
		s.push()
	case over:
		s.end()
	case tooLong:
		s.split(g == open)
	}
}

// heat has the detector hear what was before, when it has not.
func (s *site) heat() {
	if s.warm {
		return
	}
	s.warm = true
	s.det.Reset()
	for p := s.seg.pre[len(s.seg.pre)%BlockLen:]; len(p) >= BlockLen; p = p[BlockLen:] {
		s.det.Process(p[:BlockLen])
	}
}

// begin starts an utterance with what the segmenter has, and hands it over. When there is no room
// the oldest that waits goes.
func (s *site) begin(at time.Time) {
	t, woken := s.mics.begins(s.name, at)
	u := newUtterance(s.name, t)
	u.m.from, u.woken = at, woken
	s.u, s.sent = u, 0
	for {
		select {
		case s.queue <- u:
			return
		default:
		}
		select {
		case old := <-s.queue:
			old.drop()
			s.lost.Add(1)
		default:
		}
	}
}

// push hands over the sound that belongs to the utterance for sure.
func (s *site) push() {
	if s.seg.ready > s.sent {
		s.u.add(s.seg.sound[s.sent:s.seg.ready], s.seg.enough())
		s.sent = s.seg.ready
	}
}

// end ends the utterance, if there is one.
func (s *site) end() {
	if s.u == nil {
		return
	}
	if !s.seg.enough() {
		s.drop()
		return
	}
	s.seg.finish()
	s.push()
	s.u.finish(s.metrics(s.heard.Add(-audio.Duration(s.seg.silence, audio.Rate))))
	s.u = nil
}

func (s *site) metrics(to time.Time) metrics {
	m := s.u.m
	m.to, m.voiced, m.mean = to, audio.Duration(s.seg.voiced, audio.Rate), s.seg.mean()
	return m
}

// split ends an utterance that is too long. What comes after it is the next one, if the microphone is
// still open: a window that is over lets somebody finish, and not go on for ever.
func (s *site) split(goOn bool) {
	tail := s.seg.split()
	s.push()
	at := s.heard.Add(-audio.Duration(len(tail), audio.Rate))
	s.u.finish(s.metrics(at))
	s.u = nil
	if goOn {
		s.seg.goOn(tail)
		s.begin(at)
		s.push()
	}
}

// drop gives the utterance up, if there is one.
func (s *site) drop() {
	s.seg.in = false
	if s.u != nil {
		s.u.drop()
		s.u = nil
	}
}

// utterance is what somebody says: a site fills it, and an engine hears it meanwhile. mu guards what
// follows it; m is the site's until it is done.
type utterance struct {
	id      string // becomes utt_id
	turn    client.Turn
	woken   bool         // it follows a wake word at once
	first   bool         // it is the first event of its turn
	silence atomic.Int64 // how much of it ends the utterance, by its partial transcript, in ns; 0: not known yet
	wake    chan struct{}
	m       metrics

	mu      sync.Mutex
	pcm     []int16
	sure    bool // it is long enough for speech
	done    bool
	dropped bool
}

func newUtterance(site string, t client.Turn) *utterance {
	u := &utterance{id: "stt-" + client.NewID()[:16], turn: t, wake: make(chan struct{}, 1)}
	if u.turn.ID == "" {
		u.turn.ID, u.first = client.NewID(), true
	}
	u.turn.Origin = site
	return u
}

func (u *utterance) stir() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

func (u *utterance) add(pcm []int16, sure bool) {
	u.mu.Lock()
	u.pcm, u.sure = append(u.pcm, pcm...), sure
	u.mu.Unlock()
	u.stir()
}

func (u *utterance) finish(m metrics) {
	u.mu.Lock()
	u.m, u.done = m, true
	u.mu.Unlock()
	u.stir()
}

// drop gives it up, and frees its sound.
func (u *utterance) drop() {
	u.mu.Lock()
	u.dropped, u.pcm = true, nil
	u.mu.Unlock()
	u.stir()
}

// part is what take found.
type part struct {
	pcm           []int16
	sure          bool
	done, dropped bool
}

// take waits for sound behind the first from samples, or the end.
func (u *utterance) take(ctx context.Context, from int) (part, error) {
	for {
		u.mu.Lock()
		p := part{sure: u.sure, done: u.done, dropped: u.dropped}
		if !u.dropped {
			p.pcm = u.pcm[from:]
		}
		u.mu.Unlock()
		if len(p.pcm) > 0 || p.done || p.dropped {
			return p, nil
		}
		select {
		case <-u.wake:
		case <-ctx.Done():
			return part{}, context.Cause(ctx)
		}
	}
}
