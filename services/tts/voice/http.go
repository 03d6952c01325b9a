package voice

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// HTTPOptions are those of an engine that is a server.
type HTTPOptions struct {
	URL   string                 // base
	Key   func() (string, error) // asked for every sentence, so that a key file can change; nil: none
	Model string
	Voice string
	// Transport takes the place of the network in tests.
	Transport http.RoundTripper
}

const connectTime = 5 * time.Second

// server is what the two have in common. mu guards refused.
type server struct {
	o    HTTPOptions
	base *url.URL
	http *http.Client

	mu      sync.Mutex
	refused map[string]bool // voices that it does not have
}

func newServer(name string, o HTTPOptions) (*server, error) {
	base, err := url.Parse(strings.TrimSpace(o.URL))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, fmt.Errorf("%s: the URL is not like https://example.org/v1", name) // it may hold a password
	}
	base.Path = strings.TrimRight(base.Path, "/")
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: connectTime}).DialContext, TLSHandshakeTimeout: connectTime,
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &server{o: o, base: base, refused: map[string]bool{}, http: &http.Client{
		Transport: o.Transport,
		// A redirect would carry the text, and perhaps the key, to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// post sends a request and returns the stream of its answer.
func (s *server) post(ctx context.Context, u *url.URL, body any, authorize func(h http.Header, key string)) (io.ReadCloser, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(b))
	if err != nil {
		return nil, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "audio/*")
	key := ""
	if s.o.Key != nil {
		if key, err = s.o.Key(); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	if key != "" {
		authorize(req.Header, key)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, plainURL(err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, &statusError{resp.StatusCode, complaint(resp.Body, key)}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "application/json" || strings.HasPrefix(kind, "text/") {
		defer resp.Body.Close()
		return nil, fmt.Errorf("%w: the server sends %s%s", ErrSound, kind, complaint(resp.Body, key))
	}
	return resp.Body, nil
}

// statusError is an answer that is none of 200.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return fmt.Sprintf("the server says %d%s", e.code, e.text) }

// nameOfVoice is what may be a voice: it becomes a part of an address, in which nothing may lead elsewhere.
var nameOfVoice = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}$`)

// maxRefused bounds the voices that are remembered as refused.
const maxRefused = 64

// inVoice has ask made with the voice of a text, and if the server does not have that, with its own. Which
// it has cannot be asked for; that it has not is remembered, since each try costs a request.
func (s *server) inVoice(t Text, ask func(voice string) (io.ReadCloser, error)) (io.ReadCloser, error) {
	s.mu.Lock()
	own := t.Voice == "" || t.Voice == s.o.Voice || s.refused[t.Voice] || !nameOfVoice.MatchString(t.Voice)
	s.mu.Unlock()
	if own {
		return ask(s.o.Voice)
	}
	body, err := ask(t.Voice)
	var status *statusError
	if !errors.As(err, &status) || status.code != http.StatusBadRequest && status.code != http.StatusNotFound && status.code != http.StatusUnprocessableEntity {
		return body, err
	}
	if body, err = ask(s.o.Voice); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refused) < maxRefused {
		s.refused[t.Voice] = true
	}
	return body, nil
}

// plainURL takes the address out of an error: it may hold a password.
func plainURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// complaint is the beginning of what a server says of an error, without the key and what may be one.
func complaint(r io.Reader, key string) string {
	b, err := io.ReadAll(io.LimitReader(r, 4<<10))
	if err != nil || len(b) == 0 {
		return ""
	}
	var doc struct {
		Error  struct{ Message string } `json:"error"`
		Detail struct{ Message string } `json:"detail"`
	}
	if json.Unmarshal(b, &doc) != nil || doc.Error.Message+doc.Detail.Message == "" {
		return "" // a page of some proxy
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(doc.Error.Message+doc.Detail.Message, "")), " ")
	if key != "" {
		text = strings.ReplaceAll(text, key, "…")
	}
	words := strings.Fields(text)
	for i, w := range words {
		if len(w) > 24 { // such as a key, which some repeat
			words[i] = "…"
		}
	}
	text = strings.Join(words, " ")
	return ": " + strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

// readAny hands on a WAV file, or what is none as samples of the given rate.
func readAny(r io.Reader, rate int, emit func(Sound) error) error {
	b := bufio.NewReader(answer{r})
	start, err := b.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if string(start) == "RIFF" {
		return readWAV(b, emit)
	}
	if text := string(start); strings.HasPrefix(text, "ID3") || strings.HasPrefix(text, "OggS") || strings.HasPrefix(text, "fLaC") || (len(start) > 1 && start[0] == 0xff && start[1] >= 0xe0 && start[1] != 0xff) {
		return fmt.Errorf("%w: compressed, although WAV was asked for", ErrSound)
	}
	return readPCM(b, rate, emit)
}

// answer reads the body of an answer. One that is cut short is an error of its own: for a WAV file,
// io.ErrUnexpectedEOF is an end like another.
type answer struct{ r io.Reader }

var errCut = errors.New("the answer is cut short")

func (a answer) Read(p []byte) (int, error) {
	n, err := a.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errCut
	}
	return n, err
}

// OpenAI speaks by a server with the interface of OpenAI's /v1/audio/speech.
type OpenAI struct{ *server }

var _ Engine = (*OpenAI)(nil)

// openAIRate is the one of its raw samples.
const openAIRate = 24000

// NewOpenAI makes the engine. It opens no connection. The URL is the base, such as
// https://api.openai.com/v1.
func NewOpenAI(o HTTPOptions) (*OpenAI, error) {
	s, err := newServer("openai", o)
	if err != nil {
		return nil, err
	}
	s.base.Path = strings.TrimSuffix(s.base.Path, "/audio/speech")
	return &OpenAI{s}, nil
}

// ID implements Engine.
func (e *OpenAI) ID() string {
	return strings.Join([]string{"openai", e.base.Host, e.o.Model, e.o.Voice}, " ")
}

// Speak implements Engine.
func (e *OpenAI) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	type request struct {
		Model        string  `json:"model"`
		Input        string  `json:"input"`
		Voice        string  `json:"voice"`
		Format       string  `json:"response_format"`
		Speed        float64 `json:"speed,omitempty"`
		Instructions string  `json:"instructions,omitempty"`
	}
	q := request{Model: e.o.Model, Input: t.Text, Format: "wav"}
	if p := pace(t.Style); p != 1 {
		q.Speed = p
	}
	if t.Style != "" && t.Style != "neutral" {
		q.Instructions = "Speak in a " + t.Style + " voice."
	}
	body, err := e.inVoice(t, func(voice string) (io.ReadCloser, error) {
		q.Voice = voice
		return e.post(ctx, e.base.JoinPath("audio", "speech"), q, func(h http.Header, key string) { h.Set("Authorization", "Bearer "+key) })
	})
	if err != nil {
		return err
	}
	defer body.Close()
	return plainURL(readAny(body, openAIRate, emit))
}

// Close implements Engine.
func (e *OpenAI) Close() error {
	e.http.CloseIdleConnections()
	return nil
}

// ElevenLabs speaks by the service of that name.
type ElevenLabs struct{ *server }

var _ Engine = (*ElevenLabs)(nil)

// elevenRate is one that every plan of theirs has.
const elevenRate = 24000

// NewElevenLabs makes the engine. It opens no connection.
func NewElevenLabs(o HTTPOptions) (*ElevenLabs, error) {
	if o.Voice == "" || o.Key == nil {
		return nil, errors.New("elevenlabs: voice and key must be set")
	}
	s, err := newServer("elevenlabs", o)
	if err != nil {
		return nil, err
	}
	return &ElevenLabs{s}, nil
}

// ID implements Engine.
func (e *ElevenLabs) ID() string {
	return strings.Join([]string{"elevenlabs", e.o.Model, e.o.Voice}, " ")
}

// Speak implements Engine.
func (e *ElevenLabs) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	type settings struct {
		Stability  float64 `json:"stability"`
		Similarity float64 `json:"similarity_boost"`
		Speed      float64 `json:"speed,omitempty"`
	}
	type request struct {
		Text     string   `json:"text"`
		Model    string   `json:"model_id"`
		Settings settings `json:"voice_settings"`
	}
	q := request{Text: t.Text, Model: e.o.Model, Settings: settings{Stability: 0.5, Similarity: 0.75}}
	if p := pace(t.Style); p != 1 {
		q.Settings.Speed = p
	}
	body, err := e.inVoice(t, func(voice string) (io.ReadCloser, error) {
		u := e.base.JoinPath("text-to-speech", url.PathEscape(voice), "stream")
		u.RawQuery = url.Values{"output_format": {fmt.Sprintf("pcm_%d", elevenRate)}}.Encode()
		return e.post(ctx, u, q, func(h http.Header, key string) { h.Set("xi-api-key", key) })
	})
	if err != nil {
		return err
	}
	defer body.Close()
	return plainURL(readAny(body, elevenRate, emit))
}

// Close implements Engine.
func (e *ElevenLabs) Close() error {
	e.http.CloseIdleConnections()
	return nil
}
