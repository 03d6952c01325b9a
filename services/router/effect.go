package router

// An effect is one thing that the dialogue wants done. The machine only says what; the service
// publishes it, the urgent ones by a way of their own.
type effect interface{ urgent() bool }

type (
	// saySpeech hands text to the speech service.
	saySpeech struct {
		turn     *turn
		utt      string
		text     string
		style    string
		wakeAck  bool
		announce bool
	}
	// controlSpeech pauses, resumes or stops speech: of one utterance, or of all if utt is empty.
	controlSpeech struct{ action, utt, reason string }
	// askModel asks the language model.
	askModel struct {
		turn    *turn
		history []line
		stream  bool
	}
	// cancelModel ends a generation.
	cancelModel struct{ id string }
	// move asks for one motion.
	move struct {
		turn      *turn
		command   string
		speed     float64
		requestID string
	}
	// halt is the emergency stop; release takes its latch away.
	halt    struct{ reason string }
	release struct{ turn *turn }
	// remember, forget and the two of the persona go to the memory service.
	remember struct {
		turn *turn
		text string
	}
	forget struct {
		turn *turn
		all  bool // else what was told or said last
	}
	setTrait struct {
		turn  *turn
		trait string
		value int
	}
	resetTraits struct{ turn *turn }
)

func (saySpeech) urgent() bool     { return false }
func (controlSpeech) urgent() bool { return true }
func (askModel) urgent() bool      { return false }
func (cancelModel) urgent() bool   { return true }
func (move) urgent() bool          { return false }
func (halt) urgent() bool          { return true }
func (release) urgent() bool       { return false }
func (remember) urgent() bool      { return false }
func (forget) urgent() bool        { return false }
func (setTrait) urgent() bool      { return false }
func (resetTraits) urgent() bool   { return false }

// pointless reports whether an effect must not be carried out any more, since its turn was broken
// off. What changes the memory or the persona stays: it was said, and understood.
func pointless(e effect) bool {
	switch e.(type) {
	case saySpeech, askModel, move:
		t := turnOf(e)
		return t != nil && t.broken.Load()
	}
	return false
}

// turnOf is the turn that an effect belongs to, or nil.
func turnOf(e effect) *turn {
	switch e := e.(type) {
	case saySpeech:
		return e.turn
	case askModel:
		return e.turn
	case move:
		return e.turn
	case release:
		return e.turn
	case remember:
		return e.turn
	case forget:
		return e.turn
	case setTrait:
		return e.turn
	case resetTraits:
		return e.turn
	}
	return nil
}
