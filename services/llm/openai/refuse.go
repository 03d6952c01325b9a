package openai

import (
	"context"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// quirks are what a model of a server turned out not to take. Servers say so with a 400 that names
// the parameter; then it is left out from there on.
type quirks struct {
	noTools          bool
	noStreamOptions  bool
	noTemperature    bool
	noTopP           bool
	completionTokens bool // max_completion_tokens in place of max_tokens
}

// maxAdapt is how often one round may be sent again for a quirk: once for each.
const maxAdapt = 5

// maxModels bounds what is remembered of models; a request can name any.
const maxModels = 64

func (c *Client) quirk(model string) quirks {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.quirks[model]
}

// adapt learns from a refusal. It reports whether there was something to learn, so that the
// request is worth sending again at once.
func (c *Client) adapt(model string, was quirks, e *chat.Error, why apiError) bool {
	if e.Status != http.StatusBadRequest && e.Status != http.StatusUnprocessableEntity {
		return false
	}
	now := was
	says := strings.ToLower(why.Param + " " + why.Message)
	switch {
	case strings.Contains(says, "max_completion_tokens") && !strings.HasPrefix(says, "max_completion"),
		strings.HasPrefix(says, "max_tokens "):
		now.completionTokens = true
	case strings.Contains(says, "stream_options"):
		now.noStreamOptions = true
	case strings.Contains(says, "temperature"):
		now.noTemperature = true
	case strings.Contains(says, "top_p"):
		now.noTopP = true
	case strings.Contains(says, "not support tools"), strings.Contains(says, "tool use"), strings.HasPrefix(says, "tools "):
		now.noTools = true
	}
	if now == was {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.quirks) >= maxModels {
		clear(c.quirks)
	}
	c.quirks[model] = now
	return true
}

// maxErrorBody is how much of an error answer is read, bytes.
const maxErrorBody = 8 << 10

// refused makes an error of an answer that is not 200.
func (t *turn) refused(ctx context.Context, resp *http.Response) error {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil && len(b) == 0 && context.Cause(ctx) != nil {
		return t.c.fault(ctx, err, "read the refusal")
	}
	t.refusal = parseError(b)
	return t.c.status(resp, t.refusal)
}

// status makes an error of an HTTP status.
func (c *Client) status(resp *http.Response, why apiError) *chat.Error {
	e := &chat.Error{Status: resp.StatusCode, Detail: c.clean(why.Message)}
	if e.Detail == "" {
		e.Detail = http.StatusText(resp.StatusCode)
	}
	says := strings.ToLower(why.Code + " " + why.Message)
	switch s := resp.StatusCode; {
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		e.Kind = chat.Key
	case s == http.StatusNotFound, s == http.StatusMethodNotAllowed, s >= 300 && s < 400:
		e.Kind = chat.Setup
	case s == http.StatusTooManyRequests && strings.Contains(says, "insufficient_quota"):
		e.Kind = chat.Key // no waiting helps an empty account
	case s == http.StatusTooManyRequests:
		e.Kind = chat.Busy
		e.After = after(resp.Header.Get("Retry-After"), time.Now())
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s >= 500:
		e.Kind = chat.Server
		e.After = after(resp.Header.Get("Retry-After"), time.Now())
	case s == http.StatusRequestEntityTooLarge, strings.Contains(says, "context_length"), strings.Contains(says, "context length"),
		strings.Contains(says, "context window"):
		e.Kind = chat.TooLong
	case s >= 400:
		e.Kind = chat.Refused
		if strings.Contains(says, "model") && (strings.Contains(says, "not found") || strings.Contains(says, "does not exist")) {
			e.Kind = chat.Setup
		}
	default:
		e.Kind = chat.Garbled
	}
	return e
}

// after is the wait that Retry-After asks for, in seconds or as a date; 0 when it makes no sense.
func after(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if s <= 0 || s != s {
			return 0
		}
		return time.Duration(min(s, 24*3600) * float64(time.Second))
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, min(at.Sub(now), 24*time.Hour))
	}
	return 0
}

// keyLike are keys as servers quote them in their messages, whole or starred.
var keyLike = regexp.MustCompile(`\b(sk|pk|gsk|xai|AIza)[-_A-Za-z0-9*.]{6,}|Bearer\s+\S+`)

// clean makes text of a server, or of a library, fit for a log: one line, short, without the key,
// the user or the password.
func (c *Client) clean(s string) string {
	s = strings.ToValidUTF8(clip(s, 2000), "")
	secrets := map[string]bool{}
	if c.o.Key != nil {
		if key, err := c.o.Key(); err == nil {
			secrets[key] = true
		}
	}
	if p, ok := c.base.User.Password(); ok {
		secrets[p] = true
	}
	for _, secret := range slices.Sorted(maps.Keys(secrets)) {
		if len(secret) > 3 {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	s = keyLike.ReplaceAllString(s, "***")
	return clip(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }), " "), 300)
}
