package recognise

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
)

// peer is a server of the replaced system: it understands by f, which gets the init message and
// all sound, after it sent partial transcripts.
func peer(t *testing.T, talk func(c *websocket.Conn)) *WebSocket {
	t.Helper()
	up := websocket.Upgrader{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.URL.Path == "/locked" && password == "hunter2" {
			r.URL.Path = "/stt"
		}
		if r.URL.Path != "/stt" {
			http.Error(w, "no such path", http.StatusNotFound)
			return
		}
		c, err := up.Upgrade(w, r, nil)
		if err == nil {
			defer c.Close()
			talk(c)
		}
	}))
	t.Cleanup(s.Close)
	e, err := NewWebSocket(WebSocketOptions{URL: "ws" + strings.TrimPrefix(s.URL, "http") + "/stt", Partials: true})
	require.NoError(t, err)
	return e
}

// speak sends an answer.
func speak(c *websocket.Conn, text string) { _ = c.WriteMessage(websocket.TextMessage, []byte(text)) }

// listen reads up to the end of an utterance.
func listen(c *websocket.Conn, each func(init map[string]any, pcm []int16)) {
	var init map[string]any
	var pcm []int16
	for {
		kind, b, err := c.ReadMessage()
		if err != nil {
			return
		}
		if kind == websocket.BinaryMessage {
			pcm = audio.AppendSamples(pcm, b)
			speak(c, `{"type":"partial","text":"hel","confidence":0.5,"t_ms":1}`)
			continue
		}
		var m map[string]any
		_ = json.Unmarshal(b, &m)
		if m["type"] == "end" {
			each(init, pcm)
			return
		}
		init = m
		speak(c, `{"type":"health","ok":true}`)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	e := peer(t, func(c *websocket.Conn) {
		listen(c, func(init map[string]any, pcm []int16) {
			assert.Equal(t, map[string]any{"type": "init", "sample_rate": 16000., "lang": "en", "enable_partials": true}, init)
			assert.Equal(t, append(sound(4000), sound(4000)...), pcm)
			speak(c, `{"type":"final","text":" Hello. ","confidence":1.0,"t_ms":500,"bytes":16000}`)
		})
	})
	s, err := e.Begin(t.Context(), Utterance{Lang: "en"})
	require.NoError(t, err)
	require.NoError(t, s.Feed(t.Context(), sound(4000)))
	require.Eventually(t, func() bool {
		text, err := s.Partial(t.Context())
		return err == nil && text == "hel"
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, s.Feed(t.Context(), sound(4000)))
	r, err := s.Finish(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Result{Text: "Hello.", Lang: "en", Confidence: -1}, r, "that is how sure it is of the language, which was given")
	require.NoError(t, s.Close())
	assert.Equal(t, "websocket", e.Name())
	require.NoError(t, e.Close())
}

func TestWebSocketAnswers(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		say  string
		lang string
		want Result
		err  string
	}{
		"empty":         {`{"type":"final","text":"","confidence":null,"t_ms":0,"bytes":0}`, "en", Result{Lang: "en", Confidence: -1}, ""},
		"no language":   {`{"type":"final","text":"x","confidence":1}`, "", Result{Text: "x", Confidence: 1}, ""},
		"confidence":    {`{"type":"final","text":"x","confidence":0.5}`, "en", Result{Text: "x", Lang: "en", Confidence: 0.5}, ""},
		"no such":       {`{"type":"final","text":"x","confidence":7}`, "en", Result{Text: "x", Lang: "en", Confidence: 1}, ""},
		"error":         {`{"type":"error","err":"no model"}`, "en", Result{}, `the server says: "no model"`},
		"no json":       {`hello`, "en", Result{}, ErrAnswer.Error()},
		"far too large": {`{"type":"final","text":"` + strings.Repeat("x", maxWebSocketMessage) + `"}`, "en", Result{}, "read limit"},
		"goes":          {``, "en", Result{}, "the server is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := peer(t, func(c *websocket.Conn) {
				listen(c, func(map[string]any, []int16) {
					if v.say != "" {
						speak(c, v.say)
						_, _, _ = c.ReadMessage() // until it goes
					}
				})
			})
			got, err := understood(t.Context(), e, v.lang)
			if v.err != "" {
				require.ErrorContains(t, err, v.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, v.want, got)
		})
	}
}

// TestWebSocketFails: what goes wrong before the end.
func TestWebSocketFails(t *testing.T) {
	t.Parallel()
	e := peer(t, func(c *websocket.Conn) { speak(c, `{"type":"error","err":"send init first"}`) })
	s, err := e.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		return s.Feed(t.Context(), sound(100)) != nil
	}, 5*time.Second, time.Millisecond)
	_, err = s.Partial(t.Context())
	require.ErrorContains(t, err, "send init first")
	_ = s.Close()

	wrong := *e
	wrong.o.URL = strings.TrimSuffix(e.o.URL, "stt")
	_, err = wrong.Begin(t.Context(), Utterance{})
	require.EqualError(t, err, "the server says 404")
	locked, err := NewWebSocket(WebSocketOptions{URL: strings.NewReplacer("://", "://user:hunter2@", "/stt", "/locked").Replace(e.o.URL)})
	require.NoError(t, err)
	s, err = locked.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	_ = s.Close()
	nobody, err := NewWebSocket(WebSocketOptions{URL: "ws://user:hunter2@127.0.0.1:1/stt"})
	require.NoError(t, err)
	_, err = nobody.Begin(t.Context(), Utterance{})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
	for _, bad := range []string{"", "http://hunter2@x", "ws://", "ws://%zz"} {
		_, err := NewWebSocket(WebSocketOptions{URL: bad})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
	}
}

// TestWebSocketHangs: one that does not answer, and one that does not even read.
func TestWebSocketHangs(t *testing.T) {
	t.Parallel()
	end := make(chan struct{})
	defer close(end)
	silent := peer(t, func(c *websocket.Conn) {
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	})
	deaf := peer(t, func(*websocket.Conn) { <-end })
	for _, e := range []Engine{silent, deaf} {
		begin := time.Now()
		c := NewChain([]Engine{e}, nil, 300*time.Millisecond)
		r := c.Begin(Utterance{})
		err := r.Feed(t.Context(), sound(maxKept)) // more than the sockets hold
		if err == nil {
			_, err = r.Finish(t.Context())
		}
		require.EqualError(t, err, "websocket: nothing within 300ms")
		assert.Less(t, time.Since(begin), 5*time.Second)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := silent.Begin(ctx, Utterance{})
	require.NoError(t, err)
	cancel()
	_, err = s.Finish(ctx)
	require.ErrorIs(t, err, context.Canceled)
	_ = s.Close()

	for range 10 {
		s, err = deaf.Begin(t.Context(), Utterance{})
		require.NoError(t, err)
		for err == nil {
			err = s.Feed(ctx, sound(maxKept)) // it does not wait when the sockets hold no more
		}
		_ = s.Close()
	}
}

// TestWebSocketStorm: a server that does not end its partial transcripts.
func TestWebSocketStorm(t *testing.T) {
	t.Parallel()
	e := peer(t, func(c *websocket.Conn) {
		for range maxWebSocketEvents + 100 {
			speak(c, `{"type":"partial","text":"x"}`)
		}
		_, _, _ = c.ReadMessage()
	})
	s, err := e.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	<-s.(*wsStream).ended
	_, err = s.Partial(t.Context())
	require.ErrorIs(t, err, ErrAnswer)
	_ = s.Close()
}
