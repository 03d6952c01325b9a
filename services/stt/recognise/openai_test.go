package recognise

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
)

const secret = "sk-short-secret"

// served is an engine whose server answers by f.
func served(t *testing.T, model string, f http.HandlerFunc) *OpenAI {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	e, err := NewOpenAI(HTTPOptions{URL: s.URL + "/v1/", Key: func() (string, error) { return secret, nil }, Model: model})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// understood has an engine understand half a second.
func understood(ctx context.Context, e Engine, lang string) (Result, error) {
	s, err := e.Begin(ctx, Utterance{Lang: lang})
	if err != nil {
		return Result{}, err
	}
	defer s.Close()
	if err := s.Feed(ctx, sound(4000)); err != nil {
		return Result{}, err
	}
	if err := s.Feed(ctx, sound(4000)); err != nil {
		return Result{}, err
	}
	return s.Finish(ctx)
}

func TestOpenAIAsks(t *testing.T) {
	t.Parallel()
	for model, want := range map[string]string{"whisper-1": "verbose_json", "gpt-4o-transcribe": "json"} {
		e := served(t, model, func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "POST /v1/audio/transcriptions", r.Method+" "+r.URL.Path)
			assert.Equal(t, "Bearer "+secret, r.Header.Get("Authorization"))
			assert.Equal(t, model, r.FormValue("model"))
			assert.Equal(t, want, r.FormValue("response_format"))
			assert.Equal(t, "0", r.FormValue("temperature"))
			assert.Equal(t, "de", r.FormValue("language"))
			if model != "whisper-1" {
				assert.Equal(t, "logprobs", r.FormValue("include[]"))
			}
			f, h, err := r.FormFile("file")
			if assert.NoError(t, err) {
				assert.Equal(t, "audio.wav", h.Filename)
				assert.Equal(t, "audio/wav", h.Header.Get("Content-Type"))
				pcm, rate, err := audio.ReadWAV(f, 1<<20)
				assert.NoError(t, err)
				assert.Equal(t, 16000, rate)
				assert.Equal(t, append(sound(4000), sound(4000)...), pcm)
			}
			_, _ = io.WriteString(w, `{"text":" Hallo. "}`)
		})
		r, err := understood(t.Context(), e, "de-DE")
		require.NoError(t, err)
		assert.Equal(t, Result{Text: "Hallo.", Lang: "de-DE", Confidence: -1}, r)
	}
}

func TestOpenAIAnswers(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]Result{
		`{"text":"hi"}`:       {Text: "hi", Lang: "en", Confidence: -1},
		`{"transcript":"hi"}`: {Text: "hi", Lang: "en", Confidence: -1},
		`{"text":""}`:         {Lang: "en", Confidence: -1},
		`{"text":"hi","confidence":0.5,"language":"de"}`: {Text: "hi", Lang: "de", Confidence: 0.5},
		`{"text":"hi","confidence":7}`:                   {Text: "hi", Lang: "en", Confidence: 1},
		`{"text":"hi","language":"english","segments":[{"start":0,"end":1,"text":"hi","avg_logprob":-0.5,"no_speech_prob":0.9}]}`:                                                                   {Text: "hi", Lang: "en", Confidence: math.Exp(-0.5)},
		`{"text":"hi Thanks.","segments":[{"start":0,"end":1,"text":" hi","avg_logprob":-0.2,"no_speech_prob":0.1},{"start":1,"end":2,"text":" Thanks.","avg_logprob":-1.5,"no_speech_prob":0.9}]}`: {Text: "hi", Lang: "en", Confidence: math.Exp(-0.2)},
		`{"text":"Thanks.","segments":[{"start":0,"end":1,"text":"Thanks.","avg_logprob":-1.5,"no_speech_prob":0.9}]}`:                                                                              {Lang: "en"},
		`{"text":"a b","segments":[{"start":0,"end":3,"text":"a","avg_logprob":-0.1},{"start":3,"end":4,"text":"b","avg_logprob":-0.5}]}`:                                                           {Text: "a b", Lang: "en", Confidence: math.Exp(-0.2)},
		`{"text":"a b","segments":[{"start":0,"end":3,"text":"a"},{"start":3,"end":4,"text":"b","avg_logprob":-0.5}]}`:                                                                              {Text: "a b", Lang: "en", Confidence: -1},
		`{"text":"a","logprobs":[{"token":"a","logprob":-0.1},{"token":"b","logprob":-0.3}]}`:                                                                                                       {Text: "a", Lang: "en", Confidence: math.Exp(-0.2)},
	} {
		got, err := parseOpenAI([]byte(body), "en")
		require.NoError(t, err, body)
		assert.InDelta(t, want.Confidence, got.Confidence, 1e-9, body)
		got.Confidence = want.Confidence
		assert.Equal(t, want, got, body)
	}
	got, err := parseOpenAI([]byte(`{"text":"x","language":"german"}`), "")
	require.NoError(t, err)
	assert.Equal(t, "de", got.Lang)
}

// TestOpenAIPlain: a server that does not know verbose answers is asked once.
func TestOpenAIPlain(t *testing.T) {
	t.Parallel()
	verbose := 0
	e := served(t, "m", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("response_format") == "verbose_json" {
			verbose++
			http.Error(w, `{"error":{"message":"unknown format"}}`, http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, `{"text":"hi"}`)
	})
	for range 3 {
		r, err := understood(t.Context(), e, "")
		require.NoError(t, err)
		assert.Equal(t, "hi", r.Text)
	}
	assert.Equal(t, 1, verbose)
}

func TestOpenAIFails(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		f    http.HandlerFunc
		want string
	}{
		"no key": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":{"message":"Incorrect key `+secret+` or sk-proj-0123456789abcdefghijkl"}}`, http.StatusUnauthorized)
		}, "the server says 401: Incorrect key … or …"},
		"detail": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"detail":"no model"}`, http.StatusNotFound)
		}, "the server says 404: no model"},
		"proxy":   {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, "the server says 502"},
		"no json": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, ErrAnswer.Error()},
		"no text": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }, "it has no text"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte(" "), maxAnswer+10)) }, "more than"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "the server says 307"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"text":`)
		}, "read the answer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := understood(t.Context(), served(t, "m", v.f), "en")
			require.ErrorContains(t, err, v.want)
			assert.NotContains(t, err.Error(), secret)
			assert.NotContains(t, err.Error(), "127.0.0.1")
		})
	}
	e, err := NewOpenAI(HTTPOptions{URL: "http://user:hunter2@127.0.0.1:1/v1"})
	require.NoError(t, err)
	_, err = understood(t.Context(), e, "")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
	e, err = NewOpenAI(HTTPOptions{URL: "http://127.0.0.1:1/v1", Key: func() (string, error) { return "", errors.New("no such file") }})
	require.NoError(t, err)
	_, err = understood(t.Context(), e, "")
	require.EqualError(t, err, "key: no such file")
	for _, bad := range []string{"", "ftp://hunter2@x", "hunter2:1", "http://%zz"} {
		_, err := NewOpenAI(HTTPOptions{URL: bad})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// TestOpenAIHangs: a stop is a stop, and a chain does not wait for ever.
func TestOpenAIHangs(t *testing.T) {
	t.Parallel()
	asked, end := make(chan struct{}, 2), make(chan struct{})
	e := served(t, "m", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		asked <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-end:
		}
	})
	defer close(end)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	begin := time.Now()
	_, err := understood(ctx, e, "")
	require.ErrorIs(t, err, context.Canceled)
	_, err = hear(t.Context(), NewChain([]Engine{e}, nil, 200*time.Millisecond).Begin(Utterance{}), sound(100))
	require.EqualError(t, err, "openai: nothing within 200ms")
	assert.Less(t, time.Since(begin), 5*time.Second)
}

func TestOpenAITooLong(t *testing.T) {
	t.Parallel()
	e := served(t, "m", nil)
	s, err := e.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	require.NoError(t, s.Feed(t.Context(), sound(maxKept)))
	require.ErrorIs(t, s.Feed(t.Context(), sound(1)), ErrTooLong)
	text, err := s.Partial(t.Context())
	require.NoError(t, err)
	assert.Empty(t, text)
}

func FuzzOpenAIAnswer(f *testing.F) {
	f.Add([]byte(`{"text":"hi","segments":[{"start":0,"end":1e308,"text":"hi","avg_logprob":-1e308,"no_speech_prob":0.9}],"logprobs":[{"logprob":1e308}]}`))
	f.Add([]byte(`{"error":{"message":"x"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		complaint(b, "key")
		r, err := parseOpenAI(b, "en")
		if err == nil && !(r.Confidence == -1 || r.Confidence >= 0 && r.Confidence <= 1) {
			t.Fatal(r.Confidence)
		}
		if strings.TrimSpace(r.Text) != r.Text {
			t.Fatalf("%q", r.Text)
		}
	})
}
