package router

// An effect is one thing that the dialogue wants done. The machine only says what; the service
// publishes it, each kind in its lane.
type effect any

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
	// dropMotion takes what waits of motions, whoever stopped them; the lanes carry it out at once.
	dropMotion struct{}
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

// broken reports whether the turn of an effect was broken off, so that it must not be carried out.
func broken(e effect) bool {
	switch e.(type) {
	case saySpeech, askModel, move:
		t := turnOf(e)
		return t != nil && t.broken.Load()
	}
	return false
}

// undo is what makes an effect undone that was on its way when it was broken off or stopped: it may
// have overtaken the stop, or been overtaken.
func undo(e effect) effect {
	switch e := e.(type) {
	case saySpeech:
		return controlSpeech{"stop", e.utt, "cancelled"}
	case askModel:
		return cancelModel{e.turn.utt}
	case move, release:
		return halt{"cancelled"}
	}
	return nil
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
