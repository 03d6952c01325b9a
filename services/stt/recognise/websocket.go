package recognise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/tarsd/tarsd/internal/audio"
)

// WebSocketOptions are those of a WebSocket engine.
type WebSocketOptions struct {
	URL      string // such as ws://127.0.0.1:9000/stt
	Partials bool   // ask for partial transcripts, which cost the server time
}

// WebSocket understands by a server of the system that tarsd replaces: a connection for each utterance,
// init, sound as it comes, end, and partial and final transcripts back.
type WebSocket struct {
	o      WebSocketOptions
	header http.Header
	dialer websocket.Dialer
}

var _ Engine = (*WebSocket)(nil)

// maxWebSocketMessage bounds one message of the server, in bytes, and maxWebSocketEvents how many there may be.
const (
	maxWebSocketMessage = 64 << 10
	maxWebSocketEvents  = 10_000
)

// lastWords is how long to wait for what a server said before it went.
const lastWords = 100 * time.Millisecond

// NewWebSocket makes the engine. It opens no connection. The error does not show the URL, which may
// hold a password.
func NewWebSocket(o WebSocketOptions) (*WebSocket, error) {
	u, err := url.Parse(strings.TrimSpace(o.URL))
	if err != nil || u.Host == "" || u.Scheme != "ws" && u.Scheme != "wss" {
		return nil, errors.New("websocket: the URL is not like ws://127.0.0.1:9000/stt")
	}
	header := http.Header{}
	if u.User != nil { // which the library refuses in a URL
		password, _ := u.User.Password()
		(&http.Request{Header: header}).SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	o.URL = u.String()
	return &WebSocket{o, header, websocket.Dialer{Proxy: http.ProxyFromEnvironment, HandshakeTimeout: connectTime}}, nil
}

// Name implements Engine.
func (e *WebSocket) Name() string { return "websocket" }

// Close implements Engine.
func (e *WebSocket) Close() error { return nil }

// Begin implements Engine.
func (e *WebSocket) Begin(ctx context.Context, u Utterance) (Stream, error) {
	c, resp, err := e.dialer.DialContext(ctx, e.o.URL, e.header)
	if resp != nil {
		_ = resp.Body.Close() // of a refusal there is a part, which is not needed
	}
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("the server says %d", resp.StatusCode)
		}
		return nil, plainURL(err)
	}
	c.SetReadLimit(maxWebSocketMessage)
	s := &wsStream{c: c, fixed: u.Lang != "", lang: u.Lang, final: make(chan wsEvent, 1), ended: make(chan struct{})}
	go s.read() // Close waits for it
	init := struct {
		Type     string  `json:"type"`
		Rate     int     `json:"sample_rate"`
		Lang     *string `json:"lang"`
		Partials bool    `json:"enable_partials"`
	}{"init", audio.Rate, nil, e.o.Partials}
	if u.Lang != "" {
		init.Lang = &u.Lang
	}
	if err := s.send(ctx, func() error { return c.WriteJSON(init) }); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// wsEvent is a message of the server.
type wsEvent struct {
	Type       string   `json:"type"`
	Text       string   `json:"text"`
	Confidence *float64 `json:"confidence"`
	Err        string   `json:"err"`
}

// wsStream is one utterance. Its reader owns the reading side, and tells of its end by ended; mu guards
// what it found.
type wsStream struct {
	c     *websocket.Conn
	fixed bool // the language was given
	lang  string
	buf   []byte
	final chan wsEvent
	ended chan struct{}

	mu      sync.Mutex
	partial string
	err     error
}

// read takes what the server says, until it has said the final transcript or goes away.
func (s *wsStream) read() {
	defer close(s.ended)
	fail := func(err error) {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	for range maxWebSocketEvents {
		_, b, err := s.c.ReadMessage()
		if err != nil {
			fail(fmt.Errorf("the server is gone: %w", err))
			return
		}
		var e wsEvent
		if err := json.Unmarshal(b, &e); err != nil {
			fail(fmt.Errorf("%w: %w", ErrAnswer, err))
			return
		}
		switch e.Type {
		case "partial":
			s.mu.Lock()
			s.partial = strings.TrimSpace(e.Text)
			s.mu.Unlock()
		case "final":
			s.final <- e
			return
		case "error":
			fail(fmt.Errorf("the server says: %.200q", e.Err))
			return
		}
	}
	fail(fmt.Errorf("%w: more than %d messages", ErrAnswer, maxWebSocketEvents))
}

// failed is what the reader found wrong.
func (s *wsStream) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// send writes, and gives up when ctx ends; then the connection is of no use any more. It is closed: a
// deadline would be taken back by the next part of a message.
func (s *wsStream) send(ctx context.Context, write func() error) error {
	defer context.AfterFunc(ctx, func() { _ = s.c.NetConn().Close() })()
	err := write()
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	select { // the server may have said why before it went
	case <-s.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(lastWords):
	}
	if why := s.failed(); why != nil {
		return why
	}
	return err
}

// Feed implements Stream.
func (s *wsStream) Feed(ctx context.Context, pcm []int16) error {
	if err := s.failed(); err != nil {
		return err
	}
	s.buf = audio.AppendBytes(s.buf[:0], pcm)
	return s.send(ctx, func() error { return s.c.WriteMessage(websocket.BinaryMessage, s.buf) })
}

// Partial implements Stream. The server's are of the last six seconds only.
func (s *wsStream) Partial(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partial, s.err
}

// Finish implements Stream.
func (s *wsStream) Finish(ctx context.Context) (Result, error) {
	if err := s.send(ctx, func() error { return s.c.WriteMessage(websocket.TextMessage, []byte(`{"type":"end"}`)) }); err != nil {
		return Result{}, err
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return Result{}, context.Cause(ctx)
	}
	select {
	case e := <-s.final:
		return s.result(e), nil
	default:
		return Result{}, s.failed()
	}
}

// result reads the final transcript. The server's confidence is that of the language, which is 1 when
// the language was given: then it says nothing.
func (s *wsStream) result(e wsEvent) Result {
	r := Result{Text: strings.TrimSpace(e.Text), Lang: s.lang, Confidence: -1}
	if e.Confidence != nil && (!s.fixed || *e.Confidence != 1) {
		r.Confidence = probability(*e.Confidence)
	}
	return r
}

// Close implements Stream.
func (s *wsStream) Close() error {
	_ = s.c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(50*time.Millisecond))
	err := s.c.Close()
	<-s.ended
	return err
}
