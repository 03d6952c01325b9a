package router

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// published carries out effects by writing them down. It waits where a test wants it to.
type published struct {
	mu   sync.Mutex
	got  []effect
	hold map[string]chan struct{} // by text of a say
}

func (p *published) do(_ context.Context, e effect) {
	p.mu.Lock()
	p.got = append(p.got, e)
	var hold chan struct{}
	if s, ok := e.(saySpeech); ok {
		hold = p.hold[s.text]
	}
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
}

// run starts lanes in a bubble.
func (p *published) run(t *testing.T) *lanes {
	t.Helper()
	l := newLanes(p.do)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { l.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return l
}

// TestStopTakesWhatWaits: a stop overtakes the broker that is slow, takes away what waits, and makes
// undone what was on its way.
func TestStopTakesWhatWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := &published{hold: map[string]chan struct{}{"one": gate}}
		l := p.run(t)
		story := &turn{utt: "u"}
		l.put(saySpeech{turn: story, utt: "u", text: "one"})
		synctest.Wait()
		l.put(saySpeech{turn: story, utt: "u", text: "two"})
		l.put(askModel{turn: &turn{utt: "v"}})
		l.put(move{turn: story, command: "bow"})
		l.put(release{turn: story})
		l.put(remember{turn: story, text: "x"})
		l.put(dropMotion{})
		l.put(halt{"stop_word"})
		l.put(controlSpeech{"stop", "", "stop_word"})
		l.put(saySpeech{turn: &turn{utt: "w"}, utt: "w", text: "after"})
		synctest.Wait()
		assert.ElementsMatch(t, []effect{
			saySpeech{turn: story, utt: "u", text: "one"}, controlSpeech{"stop", "", "stop_word"}, halt{"stop_word"},
		}, p.got, "nothing waits for the text whose acknowledgement is missing")
		p.got = nil
		close(gate)
		synctest.Wait()
		assert.Contains(t, p.got, controlSpeech{"stop", "u", "cancelled"}, "the text that was on its way")
		assert.Contains(t, p.got, remember{turn: story, text: "x"})
		assert.Contains(t, p.got, saySpeech{turn: &turn{utt: "w"}, utt: "w", text: "after"})
		assert.Len(t, p.got, 3)
	})
}

// TestHushLetsMotionGoOn: it takes speech and questions that wait, and nothing else.
func TestHushLetsMotionGoOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := &published{hold: map[string]chan struct{}{"one": gate}}
		l := p.run(t)
		l.put(saySpeech{utt: "u", text: "one"})
		synctest.Wait()
		l.put(saySpeech{utt: "u", text: "two"})
		l.put(askModel{turn: &turn{utt: "v"}})
		l.put(move{command: "bow"})
		l.put(release{})
		l.put(controlSpeech{"stop", "", "hush_word"})
		close(gate)
		synctest.Wait()
		assert.ElementsMatch(t, []effect{
			saySpeech{utt: "u", text: "one"}, controlSpeech{"stop", "", "hush_word"}, controlSpeech{"stop", "u", "cancelled"}, move{command: "bow"}, release{},
		}, p.got)
	})
}

// TestBrokenOffTurn: what waits of it goes, and of no other turn.
func TestBrokenOffTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p := &published{hold: map[string]chan struct{}{"one": gate}}
		l := p.run(t)
		a, b := &turn{utt: "a"}, &turn{utt: "b"}
		l.put(saySpeech{turn: b, utt: "b", text: "one"})
		l.put(saySpeech{turn: a, utt: "a", text: "two"})
		l.put(askModel{turn: a})
		l.put(release{turn: a}) // it was said, and understood
		l.put(saySpeech{turn: b, utt: "b", text: "three"})
		a.broken.Store(true)
		close(gate)
		synctest.Wait()
		assert.Equal(t, []effect{
			saySpeech{turn: b, utt: "b", text: "one"}, release{turn: a}, saySpeech{turn: b, utt: "b", text: "three"},
		}, p.got)
	})
}

// TestUndo is about what was on its way when its turn ended.
func TestUndo(t *testing.T) {
	t.Parallel()
	a := &turn{utt: "a"}
	assert.Equal(t, cancelModel{"a"}, undo(askModel{turn: a}))
	assert.Equal(t, halt{"cancelled"}, undo(move{turn: a}), "a motion that comes after the stop")
	assert.Equal(t, halt{"cancelled"}, undo(release{turn: a}))
	assert.Nil(t, undo(remember{turn: a}))
}

func TestLanesAreBounded(t *testing.T) {
	t.Parallel()
	l := newLanes(func(context.Context, effect) {})
	for range 10 * maxWaiting {
		l.put(cancelModel{"x"})
	}
	assert.Len(t, l.model.waiting, maxWaiting)
}
