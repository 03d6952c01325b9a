package wake

import (
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
)

// state is where a call stands.
type state string

// The states. Every one but idle has a deadline.
const (
	idle        state = "idle"
	listening   state = "listening"   // somebody called and has not spoken yet
	interrupted state = "interrupted" // the robot's speech is paused until it is clear why somebody called
	settling    state = "settling"    // somebody spoke: whoever understands it ends the paused speech, or we do
)

// Causes of events and reasons of commands, as peers of the legacy system know them.
const (
	causePhrase  = "wake_phrase"
	causeDouble  = "double_wake"
	causeSilence = "silence"
	causeTimeout = "timeout"
	causeCancel  = "cancel"

	reasonPause   = "wake_interrupt"
	reasonResume  = "wake_resume"
	reasonTimeout = "wake_timeout"
	reasonCancel  = "wake_cancel"
	reasonSettled = "wake_superseded"
)

const (
	// settleTime is what a router may take to end speech that somebody spoke over.
	settleTime = 5 * time.Second
	// maxSpeech is how long something counts as being spoken whose end never comes.
	maxSpeech = 10 * time.Minute
)

// detection is a call that an ear has heard.
type detection struct {
	site       string
	confidence float64
	energy     float64
	threshold  float64
}

// effect is what the machine wants published: one of the three.
type effect struct {
	call    *call
	event   *contract.Wake
	mic     *contract.MicCommand
	control *contract.SpeechControl
}

// call is one exchange, from the wake word on.
type call struct {
	site  string
	id    string    // envelope id of its first event, which is the id of the turn
	since time.Time // when it was heard
	said  bool      // its first event was published
}

// speech is an utterance of the robot.
type speech struct {
	utt  string
	site string
	ack  bool // the answer to a wake word
	end  time.Time
}

// id is nil for speech that has none, or is none.
func (s *speech) id() *string {
	if s == nil || s.utt == "" {
		return nil
	}
	return &s.utt
}

// machine follows a call. One goroutine owns it.
type machine struct {
	o     *Options
	newID func() string

	state    state
	deadline time.Time // zero: none
	call     *call
	paused   *speech // the utterance that we paused
	now      *speech // what is being spoken, not paused; nil: nothing
	ack      *speech // the same of the answer to a wake word

	out []effect
}

func newMachine(o *Options, newID func() string) *machine {
	return &machine{o: o, newID: newID, state: idle}
}

// next is when tick has to be called; zero: not at all.
func (m *machine) next() time.Time { return m.deadline }

func (m *machine) to(s state, deadline time.Time) {
	m.state, m.deadline = s, deadline
	if s == idle {
		m.deadline, m.call, m.paused = time.Time{}, nil, nil
	}
	if s == listening {
		m.paused = nil
	}
}

// attentive is the site whose people are expected to speak; empty: none.
func (m *machine) attentive() string {
	if m.state == idle || m.state == settling {
		return ""
	}
	return m.call.site
}

// silenceTime is how long a state waits for somebody to speak.
func (m *machine) silenceTime() time.Duration {
	if m.state == interrupted {
		return m.o.InterruptWindow
	}
	return m.o.IdleTimeout
}

// extend begins the wait for speech anew, but never for longer than an utterance may be: a noisy
// room does not keep a microphone open, or speech paused, for ever.
func (m *machine) extend(now time.Time) {
	at, most := now.Add(m.silenceTime()), m.call.since.Add(m.o.SpeechLimit+m.silenceTime())
	if at.After(most) {
		at = most
	}
	if at.After(m.deadline) {
		m.deadline = at
	}
}

// speaking is what the robot says at a site; nil: nothing.
func (m *machine) speaking(now time.Time, site string) *speech {
	if m.now != nil && now.Before(m.now.end) && m.now.site == site {
		return m.now
	}
	return nil
}

// ---- events

// detected handles a call.
func (m *machine) detected(now time.Time, d detection) {
	over := m.speaking(now, d.site)
	again := m.paused != nil && m.call.site == d.site && over == nil
	if !again {
		m.release(reasonResume) // somebody else's call does not end what is paused
	}
	m.call = &call{site: d.site, id: m.newID(), since: now}
	switch {
	case over != nil:
		m.state, m.paused = interrupted, over
		m.event(contract.WakeInterrupt, causeDouble, over, &d)
		m.openMic()
		m.command(contract.ActionPause, reasonPause, over)
	case again: // also when what was said in between has led to nothing yet
		m.state = interrupted
		m.event(contract.WakeInterrupt, causeDouble, m.paused, &d)
		m.openMic()
	default:
		m.to(listening, now)
		m.event(contract.WakeHeard, causePhrase, nil, &d)
		m.openMic()
	}
	m.deadline = now.Add(m.silenceTime())
}

// voice handles that somebody speaks at a site. The robot's own voice is none of it.
func (m *machine) voice(now time.Time, site string) {
	if m.attentive() == site && site != "" && !m.sounding(now) {
		m.extend(now)
	}
}

func (m *machine) sounding(now time.Time) bool {
	return m.speaking(now, m.call.site) != nil || m.ack != nil && now.Before(m.ack.end)
}

// partial handles what a recogniser makes of the beginning of an utterance.
func (m *machine) partial(now time.Time, site, text string) {
	if m.attentive() == site && site != "" && strings.TrimSpace(text) != "" {
		m.extend(now)
	}
}

// final handles an utterance: it is what the call was for.
func (m *machine) final(now time.Time, site, text string) {
	text = normal(text)
	if m.attentive() != site || site == "" || text == "" {
		return
	}
	switch {
	case m.state == listening:
		m.to(idle, now)
	case isCancel(text):
		m.command(contract.ActionStop, reasonCancel, m.paused)
		m.event(contract.WakeCancelled, causeCancel, m.paused, nil)
		m.to(idle, now)
	default:
		m.to(settling, now.Add(settleTime))
	}
}

// spoken handles what the speech service does. An utterance without an id is one too.
func (m *machine) spoken(now time.Time, event string, s speech) {
	s.end = now.Add(maxSpeech)
	if s.ack || m.ack != nil && m.ack.utt == s.utt && event != contract.SpeakingStart {
		m.acknowledged(now, event, s)
		return
	}
	switch event {
	case contract.SpeakingStart, contract.SpeechResumed:
		m.now = &s
		switch {
		case m.holds(s), m.state == settling: // somebody else made it go on, or it was replaced
			m.to(idle, now)
		case m.state == listening && m.call.site == s.site: // that is the answer
			m.to(idle, now)
		}
	case contract.SpeechPaused:
		if m.now != nil && m.now.utt == s.utt {
			m.now = nil
		}
	case contract.SpeakingEnd, contract.SpeechStopped:
		if m.now != nil && m.now.utt == s.utt {
			m.now = nil
		}
		if m.holds(s) {
			m.over(now)
		}
	}
}

// holds reports whether an utterance is the one that we paused.
func (m *machine) holds(s speech) bool { return m.paused != nil && m.paused.utt == s.utt }

// over handles the end of the utterance that is paused.
func (m *machine) over(now time.Time) {
	if m.state == interrupted { // nothing is left to go on with, but somebody still has something to say
		at := m.deadline
		m.to(listening, at)
		m.extend(now)
		return
	}
	m.to(idle, now)
}

// acknowledged handles the answer to a wake word: the time to speak begins when it is over.
func (m *machine) acknowledged(now time.Time, event string, s speech) {
	switch event {
	case contract.SpeakingStart, contract.SpeechResumed:
		m.ack = &s
	case contract.SpeakingEnd, contract.SpeechStopped:
		m.ack = nil
		if m.attentive() != "" {
			m.extend(now)
		}
	}
}

// lost handles the end of a microphone: nobody can be heard there any more.
func (m *machine) lost(now time.Time, site string) {
	if m.call != nil && m.call.site == site {
		m.expire(now)
	}
}

// tick ends what has lasted too long.
func (m *machine) tick(now time.Time) {
	if m.deadline.IsZero() || now.Before(m.deadline) {
		return
	}
	m.expire(now)
}

func (m *machine) expire(now time.Time) {
	switch m.state {
	case listening:
		m.event(contract.WakeTimeout, causeSilence, nil, nil)
	case interrupted:
		m.event(contract.WakeResume, causeTimeout, m.paused, nil)
		m.release(reasonResume)
	case settling:
		if m.paused.utt == "" { // a stop without an id is one of everything
			m.release(reasonResume)
			break
		}
		m.command(contract.ActionStop, reasonSettled, m.paused)
	case idle:
	}
	m.to(idle, now)
}

// stop ends the machine: what is paused goes on.
func (m *machine) stop() { m.release(reasonTimeout) }

// release lets what is paused go on.
func (m *machine) release(reason string) {
	if m.paused != nil {
		m.command(contract.ActionResume, reason, m.paused)
		m.paused = nil
	}
}

// ---- effects

func (m *machine) event(kind, cause string, about *speech, d *detection) {
	e := &contract.Wake{Type: kind, Cause: &cause, TTSID: about.id()}
	if d != nil {
		e.Confidence, e.Energy = new(min(max(d.confidence, 0), 1)), new(max(d.energy, 0))
	}
	m.out = append(m.out, effect{call: m.call, event: e})
}

func (m *machine) openMic() {
	c := &contract.MicCommand{Action: "unmute", Reason: "wake", TTLMS: new(int(m.o.IdleTimeout.Milliseconds()))}
	m.out = append(m.out, effect{call: m.call, mic: c})
}

func (m *machine) command(action, reason string, about *speech) {
	c := &contract.SpeechControl{Action: action, Reason: reason, ID: about.id()}
	m.out = append(m.out, effect{call: m.call, control: c})
}
