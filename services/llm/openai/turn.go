package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// turn is one attempt of one round. It is used by one goroutine.
type turn struct {
	c      *Client
	q      chat.Request
	model  string
	quirks quirks
	say    func(string) error

	said    bool     // something went through say: there is no second attempt
	refusal apiError // of a server that does not take the request
	text    strings.Builder
	think   thought
	calls   gather
	answer  chat.Answer
}

// errEnough ends the stream of an answer that has reached its limit.
var errEnough = errors.New("the text is long enough")

// watch ends an attempt that has been silent for too long. It is a timer on the context, so that
// it works while connecting, while waiting and while reading.
type watch struct {
	timer *time.Timer
	idle  time.Duration
	begun atomic.Bool
}

func newWatch(t Timeouts, cancel context.CancelCauseFunc) *watch {
	w := &watch{idle: t.Idle}
	w.timer = time.AfterFunc(t.First, func() {
		if w.begun.Load() {
			cancel(chat.Errorf(chat.Cut, "silent for %s in the middle of the answer", t.Idle))
			return
		}
		cancel(chat.Errorf(chat.Slow, "no answer within %s", t.First))
	})
	return w
}

// alive is told of each event.
func (w *watch) alive() {
	w.begun.Store(true)
	w.timer.Reset(w.idle)
}

func (t *turn) run(ctx context.Context) (chat.Answer, error) {
	payload, err := encode(t.q, t.model, t.quirks)
	if err != nil {
		return chat.Answer{}, chat.Errorf(chat.Invalid, "encode the request: %w", err)
	}
	// The context of the request outlives the turn for a moment, see drain.
	parent := ctx
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent))
	stop := context.AfterFunc(parent, func() { cancel(context.Cause(parent)) })
	defer stop()
	w := newWatch(t.c.o.Timeouts, cancel)
	defer w.timer.Stop()

	r, err := t.c.request(ctx, http.MethodPost, "chat/completions", bytes.NewReader(payload))
	if err != nil {
		cancel(nil)
		return chat.Answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream, application/json")
	resp, err := t.c.http.Do(r)
	if err != nil {
		err = t.c.fault(ctx, err, "ask")
		cancel(nil)
		return chat.Answer{}, err
	}
	t.calls.limit = t.c.o.Limits
	t.answer.Model = t.model
	err = t.read(ctx, resp, w)
	t.answer.Text, t.answer.Calls = t.text.String(), t.calls.done()
	if err != nil || t.answer.Finish == sizeFinish {
		cancel(nil) // the server need not go on
		resp.Body.Close()
		return t.answer, err
	}
	t.c.drain(resp.Body, cancel)
	return t.answer, nil
}

// sizeFinish is why an answer ended that reached our own limit.
const sizeFinish = "size"

// drain reads the few bytes after the end of an answer, so that the connection can be used again;
// without them each turn would begin with a handshake. The answer does not wait for it.
func (c *Client) drain(body io.ReadCloser, cancel context.CancelCauseFunc) {
	c.wg.Go(func() {
		t := time.AfterFunc(time.Second, func() { cancel(nil) })
		defer t.Stop()
		_, _ = io.CopyN(io.Discard, body, 4<<10)
		body.Close()
		cancel(nil)
	})
}

// read takes the answer in, whatever form it has.
func (t *turn) read(ctx context.Context, resp *http.Response, w *watch) error {
	if resp.StatusCode != http.StatusOK {
		return t.refused(ctx, resp)
	}
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch kind {
	case "text/event-stream", "":
		return t.stream(ctx, resp.Body, w)
	case "application/json":
		return t.whole(ctx, resp.Body)
	}
	return chat.Errorf(chat.Garbled, "the answer is %.60q, not a stream", kind)
}

// stream reads events until the answer is complete.
func (t *turn) stream(ctx context.Context, r io.Reader, w *watch) error {
	ev := newEvents(r, t.c.o.Limits.Line, t.c.o.Limits.Body)
	for {
		data, err := ev.next()
		switch {
		case err == nil && string(data) == end, errors.Is(err, io.EOF) && t.answer.Finish != "":
			return t.finish()
		case errors.Is(err, errLine), errors.Is(err, errSize):
			return chat.Errorf(chat.TooLarge, "%w", err)
		case errors.Is(err, io.EOF):
			return chat.Errorf(chat.Cut, "the stream ended in the middle")
		case err != nil:
			return t.broken(ctx, err)
		}
		w.alive()
		if err := t.event(data); errors.Is(err, errEnough) {
			t.answer.Finish = sizeFinish
			return nil
		} else if err != nil {
			return err
		}
	}
}

// broken words the end of a stream that could not be read on.
func (t *turn) broken(ctx context.Context, err error) error {
	err = t.c.fault(ctx, err, "read the answer")
	if e := (*chat.Error)(nil); errors.As(err, &e) && e.Kind == chat.Unreachable {
		e.Kind = chat.Cut
	}
	return err
}

// event takes one chunk in.
func (t *turn) event(data []byte) error {
	var ch chunk
	if err := json.Unmarshal(data, &ch); err != nil {
		return chat.Errorf(chat.Garbled, "a chunk of the stream is not what it should be: %.200s", t.c.clean(err.Error()))
	}
	return t.take(ch)
}

// take is one chunk, or one whole answer.
func (t *turn) take(ch chunk) error {
	if len(ch.Error) > 0 && string(ch.Error) != "null" {
		e := innerError(ch.Error)
		return chat.Errorf(chat.Server, "error in the stream: %s", t.c.clean(e.Message))
	}
	if ch.Model != "" {
		t.answer.Model = clip(ch.Model, 128)
	}
	if u := ch.Usage; u != nil {
		t.answer.Usage = chat.Usage{Prompt: max(0, u.Prompt), Completion: max(0, u.Completion), Total: max(0, u.Total)}
	}
	for _, c := range ch.Choices {
		if c.Index != 0 {
			continue
		}
		if c.Finish != "" {
			t.answer.Finish = clip(c.Finish, 32)
		}
		for _, d := range []delta{c.Delta, c.Message} {
			if err := t.calls.add(d.ToolCalls); err != nil {
				return chat.Errorf(chat.TooLarge, "%w", err)
			}
			if err := t.speak(t.think.filter(string(d.Content) + d.Refusal)); err != nil {
				return err
			}
		}
	}
	return nil
}

// speak hands text on, up to the limit of an answer.
func (t *turn) speak(s string) error {
	if s == "" {
		return nil
	}
	room := t.c.o.Limits.Text - t.text.Len()
	cut := len(s) > room
	if cut {
		s = clip(s, room)
	}
	if s != "" {
		t.text.WriteString(s)
		t.said = true
		if err := t.say(s); err != nil {
			return err
		}
	}
	if cut {
		return errEnough
	}
	return nil
}

// finish is called at the regular end of an answer.
func (t *turn) finish() error {
	if err := t.speak(t.think.flush()); err != nil && !errors.Is(err, errEnough) {
		return err
	}
	if t.answer.Finish == "content_filter" && t.text.Len() == 0 {
		return chat.Errorf(chat.Refused, "content filter")
	}
	return nil
}

// whole reads the answer of a server that does not stream.
func (t *turn) whole(ctx context.Context, r io.Reader) error {
	limit := t.c.o.Limits.Body
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return t.broken(ctx, err)
	}
	if int64(len(b)) > limit {
		return chat.Errorf(chat.TooLarge, "the answer is larger than %d bytes", limit)
	}
	if err := t.event(b); errors.Is(err, errEnough) {
		t.answer.Finish = sizeFinish
		return nil
	} else if err != nil {
		return err
	}
	return t.finish()
}

// clip cuts s to n bytes, between runes.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:max(n, 0)]
}
