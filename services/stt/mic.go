package stt

import (
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
)

// gate is what becomes of a piece of sound.
type gate byte

const (
	shut gate = iota // it is not heard, and what was being said is dropped
	cut              // it is not heard, and what was said before is an utterance
	rest             // nothing begins, and who speaks may finish
	open
)

// charTime is the longest that a character of a text takes to be spoken.
const charTime = 100 * time.Millisecond

// maxVoices bounds the utterances of our own that are followed at once.
const maxVoices = 16

// voice is an utterance of our own that sounds at a site.
type voice struct {
	from, limit time.Time
	paused      bool
	stopped     bool
	announce    bool
}

// mic decides whether a microphone is open. It knows no clock: each event comes with its time, and so does
// each piece of sound, which may be older than the last event.
type mic struct {
	o      *Options
	from   time.Time // it is open from then on
	until  time.Time // until then
	reason string    // of that, or of its end
	told   bool      // by a command, whose time stands
	turn   client.Turn
	woke   time.Time // when a wake word was heard last
	users  int       // sites of this name

	muted   bool
	release bool      // muted by who let go of a button: what was said before is meant
	mutedTo time.Time // zero: until it is opened again

	voices map[string]*voice // by utterance
	over   time.Time         // somebody spoke a wake word over them then; zero: nobody did
	quiet  time.Time         // the room is quiet again from then on
}

func newMic(o *Options) *mic { return &mic{o: o, reason: "start", voices: map[string]*voice{}} }

// gate says what becomes of sound of a moment.
func (m *mic) gate(at time.Time, live bool) gate {
	switch {
	case m.isMuted(at) && m.release:
		return cut
	case m.isMuted(at):
		return shut
	case (m.speaks(at) || at.Before(m.quiet)) && (m.over.IsZero() || at.Before(m.over)):
		return cut
	case live || !at.Before(m.from) && at.Before(m.until):
		return open
	default:
		return rest
	}
}

func (m *mic) isMuted(at time.Time) bool {
	return m.muted && (m.mutedTo.IsZero() || at.Before(m.mutedTo))
}

// speaks reports whether our own speech sounds at a moment.
func (m *mic) speaks(at time.Time) bool {
	for _, v := range m.voices {
		if !v.paused && !at.Before(v.from) && at.Before(v.limit) {
			return true
		}
	}
	return false
}

// state is for people: whether it is open, and why.
func (m *mic) state(at time.Time, live bool) string {
	switch m.gate(at, live) {
	case open:
		if live && !at.Before(m.until) {
			return "open (live)"
		}
		return "open (" + m.reason + ")"
	case rest:
		return "closed (" + m.reason + ")"
	default:
		if m.isMuted(at) {
			return "muted (" + m.reason + ")"
		}
		return "closed (own speech)"
	}
}

// opens is called before it is opened. What was closed meanwhile belongs to no turn any more.
func (m *mic) opens(now time.Time) {
	if !now.Before(m.until) {
		m.from, m.turn = now, client.Turn{}
	}
}

// openTo opens it until a moment, which replaces a shorter time.
func (m *mic) openTo(now, until time.Time, reason string) {
	m.opens(now)
	if until.After(m.until) {
		m.until, m.reason, m.told = until, reason, false
	}
}

// close ends the time for which it is open. Who speaks may finish.
func (m *mic) close(now time.Time, reason string) {
	if now.Before(m.until) {
		m.until, m.reason, m.told = now, reason, false
	}
}

// wake is a wake word, or a push to talk, which is the same.
func (m *mic) wake(now time.Time, kind string, t client.Turn) {
	m.muted, m.woke = false, now
	m.over = time.Time{}
	if m.speaks(now) || now.Before(m.quiet) {
		m.over = now
	}
	m.openTo(now, now.Add(m.o.WakeWindow), kind)
	m.turn = t
}

// command carries out wake/mic. A ttl below 1 is for good; opening has its limit.
func (m *mic) command(now time.Time, mute bool, reason string, ttl time.Duration) {
	if mute {
		m.muted, m.mutedTo = true, time.Time{}
		m.release = reason == "push_to_talk"
		if ttl > 0 {
			m.mutedTo = now.Add(ttl) // what it is open for goes on behind it
			m.reason = reason
			return
		}
		m.until, m.reason, m.turn = now, reason, client.Turn{}
		return
	}
	if ttl <= 0 {
		ttl = m.o.OpenLimit
	}
	m.muted = false
	m.opens(now)
	m.until, m.reason, m.told = now.Add(ttl), reason, true
}

// starts, and what follows, is our own speech. The answer to a wake word does not close the microphone:
// who has just said the word goes on speaking. length is that of the text in bytes.
func (m *mic) starts(now time.Time, utt string, announce bool, length int) {
	for id, v := range m.voices {
		if !now.Before(v.limit) || len(m.voices) >= maxVoices {
			delete(m.voices, id)
		}
	}
	m.voices[utt] = &voice{from: now, announce: announce}
	m.over = time.Time{}
	m.sign(now, utt, length)
}

// sign is one of life.
func (m *mic) sign(now time.Time, utt string, length int) {
	if v := m.voices[utt]; v != nil {
		v.limit = later(v.limit, now.Add(m.o.SpeechLimit+time.Duration(min(length, 4096))*charTime))
	}
}

func (m *mic) pauses(now time.Time, utt string) {
	if v := m.voices[utt]; v != nil {
		v.paused = true
		m.quiet = now.Add(m.o.Guard)
	}
}

func (m *mic) resumes(now time.Time, utt string, length int) {
	v := m.voices[utt]
	if v == nil { // it began before we did
		m.starts(now, utt, false, length)
		return
	}
	v.paused, v.from = false, now
	m.over = time.Time{}
	m.sign(now, utt, length)
}

func (m *mic) stops(utt string) {
	if v := m.voices[utt]; v != nil {
		v.stopped = true
	}
}

// ends is the end of our own speech. With window the microphone opens for the answer, unless it was
// broken off, or nobody had asked.
func (m *mic) ends(now time.Time, utt string, window bool) {
	v := m.voices[utt]
	if v == nil {
		return
	}
	delete(m.voices, utt)
	if v.paused { // it has been silent for long
		return
	}
	if len(m.voices) == 0 {
		m.quiet = now.Add(m.o.Guard)
	}
	if window && !v.announce && !v.stopped && !m.speaks(now) && m.o.ResponseWindow > 0 {
		m.openTo(now, m.quiet.Add(m.o.ResponseWindow), "response")
	}
}

// takeTurn is the turn of the wake word that an utterance follows: of the first one only, and while it is
// open for it.
func (m *mic) takeTurn(at time.Time) (t client.Turn) {
	if at.Before(m.until) {
		t = m.turn
	}
	m.turn = client.Turn{}
	return t
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// plain makes a reason fit to be shown: short, and one line.
func plain(reason string) string {
	reason = strings.Join(strings.Fields(strings.ToValidUTF8(reason, "")), " ")
	if r := []rune(reason); len(r) > 40 {
		return string(r[:40])
	}
	return reason
}
