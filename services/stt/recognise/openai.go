package recognise

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
)

// HTTPOptions are those of an engine that is an HTTP server.
type HTTPOptions struct {
	URL   string                 // base of the interface, such as https://api.openai.com/v1
	Key   func() (string, error) // asked for every utterance, so that a key file can change; nil: none
	Model string
	// Transport takes the place of the network in tests.
	Transport http.RoundTripper
}

const (
	connectTime = 5 * time.Second
	maxAnswer   = 1 << 20 // bytes of a server's answer
)

// When Whisper itself takes a segment for silence (its no_speech_threshold and logprob_threshold).
const (
	noSpeech   = 0.6
	badLogprob = -1.0
)

// OpenAI understands by a server with the interface of OpenAI's /v1/audio/transcriptions. Its
// transcript comes at the end only.
type OpenAI struct {
	o    HTTPOptions
	base *url.URL
	http *http.Client
	// plain says that the server knows no verbose answers, which tell how sure it is.
	plain atomic.Bool
}

var _ Engine = (*OpenAI)(nil)

// NewOpenAI makes the engine. It opens no connection. The error does not show the URL, which may
// hold a password.
func NewOpenAI(o HTTPOptions) (*OpenAI, error) {
	base, err := url.Parse(strings.TrimSpace(o.URL))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" {
		return nil, errors.New("openai: the URL is not like https://example.org/v1")
	}
	base.Path = strings.TrimSuffix(strings.TrimRight(base.Path, "/"), "/audio/transcriptions")
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: connectTime}).DialContext, TLSHandshakeTimeout: connectTime,
			ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 90 * time.Second, MaxResponseHeaderBytes: 64 << 10,
		}
	}
	return &OpenAI{o: o, base: base, http: &http.Client{
		Transport: o.Transport,
		// A redirect would carry the speech, and perhaps the key, to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Name implements Engine.
func (e *OpenAI) Name() string { return "openai" }

// Close implements Engine.
func (e *OpenAI) Close() error {
	e.http.CloseIdleConnections()
	return nil
}

// Begin implements Engine.
func (e *OpenAI) Begin(_ context.Context, u Utterance) (Stream, error) {
	return &openAIStream{e: e, lang: u.Lang}, nil
}

type openAIStream struct {
	e    *OpenAI
	lang string
	pcm  []int16
}

// Feed implements Stream.
func (s *openAIStream) Feed(_ context.Context, pcm []int16) error {
	if len(s.pcm)+len(pcm) > maxKept {
		return ErrTooLong
	}
	s.pcm = append(s.pcm, pcm...)
	return nil
}

// Partial implements Stream: there is none.
func (s *openAIStream) Partial(context.Context) (string, error) { return "", nil }

// Close implements Stream.
func (s *openAIStream) Close() error { return nil }

// Finish implements Stream.
func (s *openAIStream) Finish(ctx context.Context) (Result, error) {
	logprobs := strings.HasPrefix(s.e.o.Model, "gpt-") // these have logprobs, and no verbose answers
	if logprobs || s.e.plain.Load() {
		return s.ask(ctx, "json", logprobs)
	}
	r, err := s.ask(ctx, "verbose_json", false)
	var no *refusal
	if errors.As(err, &no) && (no.status == http.StatusBadRequest || no.status == http.StatusUnprocessableEntity) {
		if r, err := s.ask(ctx, "json", false); err == nil {
			s.e.plain.Store(true)
			return r, nil
		}
	}
	return r, err
}

// ask makes one request.
func (s *openAIStream) ask(ctx context.Context, format string, logprobs bool) (Result, error) {
	body, kind := s.form(format, logprobs)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.e.base.JoinPath("audio", "transcriptions").String(), bytes.NewReader(body))
	if err != nil {
		return Result{}, errors.New("the URL cannot be used")
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "application/json")
	key := ""
	if s.e.o.Key != nil {
		if key, err = s.e.o.Key(); err != nil {
			return Result{}, fmt.Errorf("key: %w", err)
		}
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := s.e.http.Do(req)
	if err != nil {
		return Result{}, plainURL(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return Result{}, fmt.Errorf("read the answer: %w", plainURL(err))
	}
	if resp.StatusCode != http.StatusOK {
		return Result{}, &refusal{resp.StatusCode, complaint(b, key)}
	}
	if len(b) > maxAnswer {
		return Result{}, fmt.Errorf("%w: more than %d bytes", ErrAnswer, maxAnswer)
	}
	return parseOpenAI(b, s.lang)
}

// form is the body of a request, and its type.
func (s *openAIStream) form(format string, logprobs bool) (body []byte, kind string) {
	var b bytes.Buffer // whose writes do not fail
	w := multipart.NewWriter(&b)
	fields := [][2]string{{"model", s.e.o.Model}, {"response_format", format}, {"temperature", "0"}}
	if s.lang != "" {
		lang, _, _ := strings.Cut(s.lang, "-") // ISO 639-1
		fields = append(fields, [2]string{"language", lang})
	}
	if logprobs {
		fields = append(fields, [2]string{"include[]", "logprobs"})
	}
	for _, f := range fields {
		_ = w.WriteField(f[0], f[1])
	}
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="audio.wav"`}, "Content-Type": {"audio/wav"},
	})
	if err == nil {
		_, _ = part.Write(audio.AppendWAV(nil, s.pcm, audio.Rate))
	}
	_ = w.Close()
	return b.Bytes(), w.FormDataContentType()
}

// refusal is an answer that is none.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("the server says %d%s", r.status, r.text) }

// openAIAnswer is what servers of this interface say, some of it each.
type openAIAnswer struct {
	Text       *string  `json:"text"`
	Transcript *string  `json:"transcript"`
	Language   string   `json:"language"`
	Confidence *float64 `json:"confidence"`
	Segments   []struct {
		Start    float64  `json:"start"`
		End      float64  `json:"end"`
		Text     string   `json:"text"`
		Logprob  *float64 `json:"avg_logprob"`
		NoSpeech float64  `json:"no_speech_prob"`
	} `json:"segments"`
	Logprobs []struct {
		Logprob float64 `json:"logprob"`
	} `json:"logprobs"`
}

// parseOpenAI reads an answer. How sure the engine is, is the mean probability of a token: of its
// logprobs, or of its segments by their length, without those that Whisper takes for silence.
func parseOpenAI(b []byte, lang string) (Result, error) {
	var a openAIAnswer
	if err := json.Unmarshal(b, &a); err != nil {
		return Result{}, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	text := a.Text
	if text == nil {
		text = a.Transcript
	}
	if text == nil {
		return Result{}, fmt.Errorf("%w: it has no text", ErrAnswer)
	}
	r := Result{Text: strings.TrimSpace(*text), Lang: languageOf(a.Language, lang), Confidence: -1}
	if a.Confidence != nil {
		r.Confidence = probability(*a.Confidence)
	}
	if n := len(a.Logprobs); n > 0 {
		sum := 0.0
		for _, l := range a.Logprobs {
			sum += l.Logprob
		}
		r.Confidence = probability(math.Exp(sum / float64(n)))
	}
	var kept []string
	sum, length, told := 0.0, 0.0, 0
	for _, s := range a.Segments {
		if s.Logprob == nil {
			continue
		}
		told++
		if s.NoSpeech > noSpeech && *s.Logprob < badLogprob {
			continue
		}
		d := max(s.End-s.Start, 0.01)
		sum, length = sum+d**s.Logprob, length+d
		kept = append(kept, strings.TrimSpace(s.Text))
	}
	switch {
	case told == 0 || told != len(a.Segments):
	case len(kept) == 0:
		r.Text, r.Confidence = "", 0
	default:
		r.Confidence = probability(math.Exp(sum / length))
		if len(kept) < told {
			r.Text = strings.TrimSpace(strings.Join(kept, " "))
		}
	}
	return r, nil
}

// languageOf is the code of a language that servers name by code or by word; asked if they do not.
func languageOf(s, asked string) string {
	if len(s) == 2 || s == "" && asked == "" {
		return strings.ToLower(s)
	}
	if asked != "" {
		return asked
	}
	return map[string]string{"english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "dutch": "nl", "portuguese": "pt"}[strings.ToLower(s)]
}

// probability makes a probability of a number of a peer, which may be none.
func probability(p float64) float64 {
	if math.IsNaN(p) {
		return 0
	}
	return max(0, min(1, p))
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
func complaint(b []byte, key string) string {
	var doc struct {
		Error  struct{ Message string } `json:"error"`
		Detail any                      `json:"detail"`
	}
	if json.Unmarshal(b[:min(len(b), 4<<10)], &doc) != nil {
		return "" // a page of some proxy
	}
	text := doc.Error.Message
	if s, ok := doc.Detail.(string); ok && text == "" {
		text = s
	}
	if text == "" {
		return ""
	}
	if key != "" {
		text = strings.ReplaceAll(text, key, "…")
	}
	words := strings.Fields(strings.ToValidUTF8(text, ""))
	for i, w := range words {
		if len(w) > 24 { // such as a key, which some repeat
			words[i] = "…"
		}
	}
	text = strings.Join(words, " ")
	return ": " + strings.ToValidUTF8(text[:min(len(text), 200)], "")
}
