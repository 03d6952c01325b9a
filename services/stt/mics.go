package stt

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// strayTime is how long a wake event waits for the microphone of the place that it comes from.
const strayTime = 3 * time.Second

// mics are the microphones and what is known of the dialogue. mu guards all of it, and is held across
// nothing that waits.
type mics struct {
	o *Options

	mu     sync.Mutex
	all    map[string]*mic // that of the room is always there
	live   time.Time       // live mode, until then
	routed bool            // there is a router that says when it listens
	active string          // where somebody spoke, or was answered, last
	stray  stray
	echoes echoes
}

// stray is a wake event from a place without a microphone, which may be on its way: then it is the
// one that opens, and not the room's.
type stray struct {
	origin, kind string
	at           time.Time
	turn         client.Turn
}

func newMics(o *Options) *mics {
	return &mics{o: o, all: map[string]*mic{Room: newMic(o)}, active: Room, echoes: echoes{o: o}}
}

// of is the microphone of an origin: its own, or the room's.
func (ms *mics) of(origin string) (*mic, string) {
	if m := ms.all[origin]; m != nil && m.users > 0 {
		return m, origin
	}
	return ms.all[Room], Room
}

// join is called when a site comes.
func (ms *mics) join(now time.Time, site string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.all[site]
	if m == nil {
		m = newMic(ms.o)
		ms.all[site] = m
	}
	if m.users++; m.users > 1 {
		return
	}
	if s := ms.stray; s.origin == site && now.Sub(s.at) < strayTime {
		m.wake(now, s.kind, s.turn)
		ms.active, ms.stray = site, stray{}
		if room := ms.all[Room]; room.turn == s.turn {
			room.close(now, "heard elsewhere")
			room.turn = client.Turn{}
		}
	}
}

// maxMics bounds the microphones that are known, with those that were muted and are away.
const maxMics = 4 * maxSites

// leave is called when a site goes. One that is muted is so when it comes back.
func (ms *mics) leave(now time.Time, site string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.all[site]; m != nil {
		m.users--
	}
	maps.DeleteFunc(ms.all, func(site string, m *mic) bool {
		return m.users <= 0 && site != Room && (!m.isMuted(now) || len(ms.all) > maxMics)
	})
}

// gate says what becomes of sound of a site.
func (ms *mics) gate(site string, at time.Time) gate {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if m := ms.all[site]; m != nil {
		return m.gate(at, at.Before(ms.live))
	}
	return shut
}

// begins is called when somebody begins to speak: it returns the turn that this belongs to, and whether it
// follows a wake word at once.
func (ms *mics) begins(site string, at time.Time) (t client.Turn, woken bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m := ms.all[site]
	if m == nil {
		return t, false
	}
	return m.takeTurn(at), !m.woke.IsZero() && at.Sub(m.woke) < wakeTail
}

// heard takes our own speech out of a transcript.
func (ms *mics) heard(site, text string, m metrics) (left string, own bool) {
	if !ms.o.Echo {
		return text, false
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.echoes.heard(site, text, m.from, m.to)
}

// transcribed is called before a final transcript is published. A router says itself when it stops
// listening; without one it is now.
func (ms *mics) transcribed(now time.Time, site string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.active = site
	if m := ms.all[site]; m != nil && !ms.routed {
		m.close(now, "transcribed")
	}
}

// states are for people: site, and how its microphone is.
func (ms *mics) states(now time.Time) []string {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	var out []string
	for site, m := range ms.all {
		if m.users > 0 {
			out = append(out, plain(site)+" "+m.state(now, now.Before(ms.live)))
		}
	}
	slices.Sort(out)
	return out
}

// ---- from topics

// wake handles an event of the wake service, or of the page's button.
func (ms *mics) wake(now time.Time, kind string, t client.Turn) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, site := ms.of(t.Origin)
	switch kind {
	case contract.WakeHeard, contract.WakeInterrupt:
		if t.Origin != "" && site != t.Origin {
			ms.stray = stray{t.Origin, kind, now, t}
		}
		ms.active = site
		m.wake(now, kind, t)
	case contract.WakeTimeout, contract.WakeCancelled:
		m.close(now, kind)
	}
}

// command handles wake/mic. One to mute that does not say where it comes from is for all.
func (ms *mics) command(now time.Time, c contract.MicCommand, origin string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	mute, ttl := c.Action == "mute", time.Duration(-1)
	if c.TTLMS != nil {
		ttl = time.Duration(min(*c.TTLMS, int(ms.o.OpenLimit/time.Millisecond))) * time.Millisecond
	}
	if mute && origin == "" {
		for _, m := range ms.all {
			m.command(now, true, plain(c.Reason), ttl)
		}
		return
	}
	m, site := ms.of(origin)
	if !mute {
		ms.active = site
	}
	m.command(now, mute, plain(c.Reason), ttl)
}

// say handles a text that is to be spoken.
func (ms *mics) say(now time.Time, s contract.Say, origin string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	_, site := ms.of(origin)
	ms.echoes.say(now, site, contract.Value(s.UttID), s.Text, contract.Value(s.WakeAck))
}

// status handles what the speaker does.
func (ms *mics) status(now time.Time, s contract.SpeechStatus, origin string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, site := ms.of(origin)
	utt, ack, announce := contract.Value(s.UttID), contract.Value(s.WakeAck), contract.Value(s.SystemAnnounce)
	switch s.Event {
	case contract.SpeakingStart:
		ms.echoes.sounds(now, site, utt, s.Text, ack)
		if ack {
			return
		}
		if !announce {
			ms.active = site
		}
		m.starts(now, utt, announce, len(s.Text))
	case contract.SpeechPaused:
		ms.echoes.silent(now, utt)
		m.pauses(now, utt)
	case contract.SpeechResumed:
		ms.echoes.sounds(now, site, utt, s.Text, ack)
		m.resumes(now, utt, len(s.Text))
	case contract.SpeechStopped:
		ms.echoes.silent(now, utt)
		m.stops(utt)
	case contract.SpeakingEnd:
		ms.echoes.silent(now, utt)
		// A router that is still at it says when it listens; there may be more to say.
		m.ends(now, utt, !ms.routed)
	}
}

// progress handles the beginning of a sentence.
func (ms *mics) progress(now time.Time, p contract.SpeechProgress, origin string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	m, site := ms.of(origin)
	utt := contract.Value(p.UttID)
	ms.echoes.add(now, site, utt, p.Text)
	m.sign(now, utt, len(p.Text))
}

// liveSlack is how long after the end of its time a router may be silent before live mode is over without
// it.
const liveSlack = 5 * time.Second

// dialogue handles what the router does. left is how long that may last; retained says that it is
// not new.
func (ms *mics) dialogue(now time.Time, d contract.Dialogue, left time.Duration, retained bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.live = (time.Time{}); d.Live && left > 0 {
		ms.live = now.Add(left + liveSlack)
	}
	ms.routed = d.Reason != "stopped"
	if retained {
		return
	}
	switch d.State {
	case contract.Listening, contract.Interrupted:
		if d.Live {
			return
		}
		m, _ := ms.of(ms.active)
		m.openTo(now, now.Add(min(left, ms.o.OpenLimit)), d.State)
	case contract.Thinking:
		for _, m := range ms.all {
			m.close(now, d.State)
		}
	case contract.Idle:
		for _, m := range ms.all {
			if !m.told { // that has a time of its own
				m.close(now, plain(d.Reason))
			}
		}
	}
}
