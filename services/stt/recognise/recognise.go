// Package recognise turns speech into text: the engine that is built in, and peers.
package recognise

import "context"

// Utterance says what is known of speech before it is heard.
type Utterance struct {
	Lang string // such as en; empty: the engine's own
}

// Result is what an engine understood.
type Result struct {
	Text       string  // as the engine writes it; empty: nothing that is speech
	Lang       string  // the language it was understood in
	Confidence float64 // 0 to 1; negative: the engine cannot say
	Command    bool    // the text is one of the sentences that the engine was told to expect
}

// Engine recognises speech. Begin may be called from several goroutines; what they get is
// independent of each other.
type Engine interface {
	// Name is that of the configuration, such as pocketsphinx.
	Name() string
	// Begin starts an utterance.
	Begin(ctx context.Context, u Utterance) (Stream, error)
	// Close ends the engine. Streams that are open fail.
	Close() error
}

// Stream is one utterance of 16 kHz mono sound. It is for one goroutine. After an error of Feed,
// Partial or Finish only Close is of use.
type Stream interface {
	// Feed takes the next piece of sound. An engine that cannot keep up blocks.
	Feed(ctx context.Context, pcm []int16) error
	// Partial returns what was understood so far; empty when there is nothing yet, or the engine gives
	// none before the end.
	Partial(ctx context.Context) (string, error)
	// Finish tells that the speech is over, and returns what was understood.
	Finish(ctx context.Context) (Result, error)
	// Close gives the utterance up and frees what it holds; also needed after Finish.
	Close() error
}
