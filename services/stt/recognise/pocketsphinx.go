package recognise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// PocketSphinx is the built-in engine: English, offline. It is good at sentences that it expects, and
// weak at all others. While speech is heard it uses a language model. At the end the sound
// is heard again as a whole with a grammar of the expected sentences; what comes out, which is
// always one of them, counts only if it is much like what the language model understood. mu guards the
// fields below it.
type PocketSphinx struct {
	sentences func() []string
	report    func(error)

	opened  chan struct{} // closed when the two below are set
	engine  *pocketsphinx.Engine
	openErr error

	mu      sync.Mutex
	given   []string // what the grammar was made of
	grammar *pocketsphinx.Grammar
}

var (
	_ Engine = (*PocketSphinx)(nil)
	_ Stream = (*sphinxStream)(nil)
)

// NewPocketSphinx opens the engine in the background; what begins meanwhile waits. sentences are those
// to expect. It is asked at the beginning of each utterance, and has to be quick; what it returns
// is not changed by anyone. report is told of sentences that cannot be recognised, once for each
// change. Without the recogniser in this binary the error is pocketsphinx.ErrMissing.
func NewPocketSphinx(sentences func() []string, report func(error)) (*PocketSphinx, error) {
	if !pocketsphinx.BuiltIn() {
		return nil, fmt.Errorf("pocketsphinx: %w", pocketsphinx.ErrMissing)
	}
	p := &PocketSphinx{sentences: sentences, report: report, opened: make(chan struct{})}
	go func() { // Close waits for it
		defer close(p.opened)
		p.engine, p.openErr = pocketsphinx.Open()
	}()
	return p, nil
}

// Name implements Engine.
func (p *PocketSphinx) Name() string { return "pocketsphinx" }

// ErrLang is a language that an engine does not have.
var ErrLang = errors.New("does not know the language")

// Begin implements Engine. Two utterances may be open at a time; a third waits.
func (p *PocketSphinx) Begin(ctx context.Context, u Utterance) (Stream, error) {
	if lang := strings.ToLower(u.Lang); lang != "" && !strings.HasPrefix(lang, "en") {
		return nil, fmt.Errorf("pocketsphinx: %w %.20q", ErrLang, u.Lang)
	}
	select {
	case <-p.opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if p.openErr != nil {
		return nil, p.openErr
	}
	g, err := p.expected()
	if err != nil {
		return nil, err
	}
	d, err := p.engine.Decoder(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.Prepare(g), d.Begin()); err != nil {
		d.Release()
		return nil, err
	}
	return &sphinxStream{decoder: d, grammar: g}, nil
}

// expected returns the grammar of the sentences as they are now; nil if there are none.
func (p *PocketSphinx) expected() (*pocketsphinx.Grammar, error) {
	now := p.sentences()
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Equal(now, p.given) {
		return p.grammar, nil
	}
	g, left, err := p.engine.Grammar(now)
	if err != nil {
		return nil, err
	}
	if len(left) > 0 {
		p.report(errors.Join(left...))
	}
	p.given, p.grammar = slices.Clone(now), g
	return g, nil
}

// Close implements Engine.
func (p *PocketSphinx) Close() error {
	<-p.opened
	if p.engine == nil {
		return nil
	}
	return p.engine.Close()
}

// sphinxStream keeps the sound, up to pocketsphinx.MaxSamples.
type sphinxStream struct {
	decoder *pocketsphinx.Decoder
	grammar *pocketsphinx.Grammar
	pcm     []int16
}

// Feed implements Stream.
func (s *sphinxStream) Feed(ctx context.Context, pcm []int16) error {
	if s.decoder == nil {
		return pocketsphinx.ErrState
	}
	if err := s.decoder.Feed(ctx, pcm); err != nil {
		return err
	}
	s.pcm = append(s.pcm, pcm...)
	return nil
}

// Partial implements Stream.
func (s *sphinxStream) Partial(context.Context) (string, error) {
	if s.decoder == nil {
		return "", pocketsphinx.ErrState
	}
	return s.decoder.Partial()
}

// maxSecond is the longest utterance, in samples, that is heard a second time with the language model, which
// takes a seventh of its length.
const maxSecond = 6 * pocketsphinx.Rate

// Finish implements Stream.
func (s *sphinxStream) Finish(ctx context.Context) (Result, error) {
	h, err := s.hear(ctx)
	if err != nil {
		return Result{}, err
	}
	return h.result(), nil
}

// hear ends the first pass and makes the others.
func (s *sphinxStream) hear(ctx context.Context) (h heard, err error) {
	if s.decoder == nil {
		return h, pocketsphinx.ErrState
	}
	free, err := s.decoder.End()
	if err != nil {
		return h, err
	}
	h.free = free
	if s.grammar != nil {
		if h.command, err = s.decoder.Whole(ctx, s.grammar, s.pcm); err != nil {
			return h, err
		}
		if !s.grammar.Has(h.command.Text) { // only the beginning of a sentence
			h.command = pocketsphinx.Hypothesis{}
		}
	}
	switch {
	case h.command.Text != "" && h.command.Text == free.Text:
		h.same = true
	case len(s.pcm) <= maxSecond:
		if h.free, err = s.decoder.Whole(ctx, nil, s.pcm); err != nil {
			return h, err
		}
		h.same = h.free.Text == free.Text
	}
	h.expected = s.grammar != nil && s.grammar.Has(h.free.Text)
	h.apart, err = s.apart(h.command.Text, h.free.Text)
	return h, err
}

// apart is how different two texts sound: the phones that have to be changed, added or left out to make
// one of the other, as a part of the longer one's.
func (s *sphinxStream) apart(a, b string) (float64, error) {
	x, err := s.decoder.Phones(a)
	if err != nil {
		return 0, err
	}
	y, err := s.decoder.Phones(b)
	if err != nil {
		return 0, err
	}
	if len(x) == 0 || len(y) == 0 {
		return 1, nil
	}
	return float64(distance(x, y)) / float64(max(len(x), len(y))), nil
}

// distance is Levenshtein's.
func distance(a, b []string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		corner := row[0]
		row[0] = i + 1
		for j, y := range b {
			change := corner
			if x != y {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Close implements Stream.
func (s *sphinxStream) Close() error {
	if s.decoder != nil {
		s.decoder.Release()
		s.decoder = nil
	}
	return nil
}
