package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/tools/tool"
)

func ready(t *testing.T, do func(context.Context, tool.Args) (tool.Result, error)) *tool.Ready {
	t.Helper()
	r, err := tool.Prepare(tool.Tool{
		Server: "s", Name: "t", Schema: json.RawMessage(`{"properties":{"n":{"type":"number","maximum":5}},"additionalProperties":false}`),
		Timeout: time.Second, Do: do,
	})
	require.NoError(t, err)
	return r
}

func echo(_ context.Context, a tool.Args) (tool.Result, error) {
	return tool.Result{Text: "done", Data: map[string]any{"n": a.Number("n", 7)}}, nil
}

func TestPrepare(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tool tool.Tool
		id   string // empty: not taken
	}{
		"plain":       {tool.Tool{Server: "tars-movement", Name: "wave"}, "mcp__tars-movement__wave"},
		"odd letters": {tool.Tool{Server: "x", Name: "files/read.all ü"}, "mcp__x__files_read_all__"},
		"own":         {tool.Tool{Server: "x", Name: "wave", ID: "wave"}, "wave"},
		"too long":    {tool.Tool{Server: "x", Name: strings.Repeat("a", 64)}, ""},
		"bad own":     {tool.Tool{ID: "a b"}, ""},
		"bad schema":  {tool.Tool{Server: "x", Name: "y", Schema: json.RawMessage(`{"$ref":"#"}`)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.tool.Schema == nil {
				c.tool.Schema = json.RawMessage(`{}`)
			}
			c.tool.Doc = strings.Repeat("ü", 1000)
			r, err := tool.Prepare(c.tool)
			if c.id == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.id, r.ID)
			assert.LessOrEqual(t, len(r.Doc), tool.MaxDescription)
			assert.True(t, strings.HasPrefix(string(r.Schema), "{"))
		})
	}
}

// Nothing happens before the arguments are known to be good.
func TestArgumentsAreCheckedFirst(t *testing.T) {
	t.Parallel()
	called := 0
	r := ready(t, func(ctx context.Context, a tool.Args) (tool.Result, error) { called++; return echo(ctx, a) })
	c := tool.NewCaller(1000, zerolog.Nop())
	for _, bad := range []map[string]any{
		{"n": 6.0}, {"n": "6"}, {"m": 1.0}, {"n": strings.Repeat("x", tool.MaxArguments)}, {"n": make(chan int)},
	} {
		_, err := c.Call(t.Context(), r, bad)
		require.ErrorIs(t, err, tool.ErrArguments)
		assert.Less(t, len(err.Error()), 700)
	}
	assert.Zero(t, called)
	res, err := c.Call(t.Context(), r, map[string]any{"n": 3.0})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"n": 3.0}, res.Data)
	res, err = c.Call(t.Context(), r, nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"n": 7.0}, res.Data)
}

// The reference had no timeout. A tool that heeds nothing costs no more than its place.
func TestTimeoutBusyAndPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := tool.NewCaller(1000, zerolog.Nop())
		release := make(chan struct{})
		deaf := ready(t, func(context.Context, tool.Args) (tool.Result, error) { <-release; return tool.Result{}, nil })
		for range 4 {
			start := time.Now()
			_, err := c.Call(t.Context(), deaf, nil)
			require.ErrorIs(t, err, tool.ErrTimeout)
			assert.Equal(t, time.Second, time.Since(start))
		}
		_, err := c.Call(t.Context(), deaf, nil)
		require.ErrorIs(t, err, tool.ErrBusy)
		other := ready(t, echo)
		other.Server = "another"
		_, err = c.Call(t.Context(), other, nil)
		require.NoError(t, err, "other servers go on")
		urgent := ready(t, echo)
		urgent.Urgent = true
		_, err = c.Call(t.Context(), urgent, nil)
		require.NoError(t, err, "a stop is never refused")
		close(release)
		synctest.Wait()
		_, err = c.Call(t.Context(), ready(t, echo), nil)
		require.NoError(t, err, "places come back")

		_, err = c.Call(t.Context(), ready(t, func(context.Context, tool.Args) (tool.Result, error) { panic("secret") }), nil)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "secret")
		_, err = c.Call(t.Context(), ready(t, func(context.Context, tool.Args) (tool.Result, error) {
			return tool.Result{Text: "x"}, errors.New("arm stuck")
		}), nil)
		require.EqualError(t, err, "arm stuck")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(tool.ErrStopping)
		_, err = c.Call(ctx, ready(t, func(ctx context.Context, _ tool.Args) (tool.Result, error) {
			<-ctx.Done()
			return tool.Result{}, ctx.Err()
		}), nil)
		require.ErrorIs(t, err, tool.ErrStopping)
	})
}

func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	c := tool.NewCaller(100, zerolog.Nop())
	res, err := c.Call(t.Context(), ready(t, func(context.Context, tool.Args) (tool.Result, error) {
		return tool.Result{
			Text: strings.Repeat("ü", 1000) + "\xff", Data: strings.Repeat("x", 200),
			Images: []tool.Image{{Data: make([]byte, 5<<20)}, {Data: make([]byte, 5<<20)}},
		}, nil
	}), nil)
	require.NoError(t, err)
	assert.Contains(t, res.Text, "[cut]")
	assert.Contains(t, res.Text, "too large")
	assert.LessOrEqual(t, len(res.Text), 200)
	assert.Nil(t, res.Data)
	assert.Len(t, res.Images, 1)
	for _, data := range []any{make(chan int), func() {}} {
		res, err = c.Call(t.Context(), ready(t, func(context.Context, tool.Args) (tool.Result, error) {
			return tool.Result{Data: data}, nil
		}), nil)
		require.NoError(t, err)
		assert.Nil(t, res.Data)
	}
}
