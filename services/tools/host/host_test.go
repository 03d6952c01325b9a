package host_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/tools/host"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// rig is a host that runs.
type rig struct {
	t    *testing.T
	h    *host.Host
	call *tool.Caller
	end  func()
	log  *record

	mu   sync.Mutex
	sent []host.Directive
}

// record is a log that can be read while it is written.
type record struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.b.String()
}

func start(t *testing.T, servers ...host.Server) *rig {
	t.Helper()
	r := &rig{t: t, log: &record{}}
	log := zerolog.New(r.log)
	r.call = tool.NewCaller(8<<10, log)
	for i := range servers {
		s := &servers[i]
		if s.ConnectTimeout == 0 {
			s.ConnectTimeout = 10 * time.Second
		}
		if s.CallTimeout == 0 {
			s.CallTimeout = 10 * time.Second
		}
		require.NoError(t, s.Validate())
	}
	r.h = host.New(host.Options{
		Servers: servers, Version: "1", Instance: "me", Log: log, Changed: func() {},
		Publish: func(_ context.Context, s host.Server, d host.Directive) error {
			if !slices.Contains(s.Publish, d.Topic) {
				return errors.New("it may not")
			}
			r.mu.Lock()
			r.sent = append(r.sent, d)
			r.mu.Unlock()
			return nil
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.h.Run(ctx) }()
	r.end = sync.OnceFunc(func() {
		begun := time.Now()
		cancel()
		<-done
		assert.Less(t, time.Since(begun), 5*time.Second, "it stops soon")
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	t.Cleanup(r.end)
	return r
}

// child is a server that this test binary is.
func child(mode string) host.Server {
	return host.Server{Name: mode, Transport: host.Stdio, Command: os.Args[0], Env: map[string]string{childEnv: mode}}
}

func (r *rig) names() []string {
	var out []string
	for _, t := range r.h.Tools() {
		out = append(out, t.ID)
	}
	slices.Sort(out)
	return out
}

// until waits for tools to be there.
func (r *rig) until(ids ...string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		names := r.names()
		return !slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(names, id) })
	}, 20*time.Second, 5*time.Millisecond, "%v", ids)
}

func (r *rig) do(id string, args map[string]any) (tool.Result, error) {
	r.t.Helper()
	for _, t := range r.h.Tools() {
		if t.ID == id {
			ready, err := tool.Prepare(t)
			require.NoError(r.t, err)
			return r.call.Call(r.t.Context(), ready, args)
		}
	}
	return tool.Result{}, errors.New("there is no " + id)
}

// The reference started a process for each call, had two servers in its code, and no HTTP.
func TestCalls(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return newServer("changing") }, nil))
	t.Cleanup(web.Close)
	r := start(t, child("changing"), host.Server{Name: "web", Transport: host.HTTP, URL: web.URL})
	for _, name := range []string{"changing", "web"} {
		r.until("mcp__" + name + "__echo")
		for i := range 3 {
			res, err := r.do("mcp__"+name+"__echo", map[string]any{"text": fmt.Sprint("hello ", i)})
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint("hello ", i), res.Text)
		}
		_, err := r.do("mcp__"+name+"__echo", map[string]any{"text": 7})
		require.ErrorIs(t, err, tool.ErrArguments)
		assert.NotContains(t, r.names(), "mcp__"+name+"__another")
		_, err = r.do("mcp__"+name+"__more", nil)
		require.NoError(t, err)
		r.until("mcp__" + name + "__another")
	}
}

// A server that hangs costs its own calls only, and is started anew when it stays silent.
func TestSlow(t *testing.T) {
	t.Parallel()
	slow, silent := child("slow"), child("silent")
	slow.CallTimeout, silent.ConnectTimeout = 200*time.Millisecond, 200*time.Millisecond
	r := start(t, slow, silent, child("dying"))
	r.until("mcp__slow__wait", "mcp__dying__echo")
	begun := time.Now()
	_, err := r.do("mcp__slow__wait", nil)
	require.ErrorIs(t, err, tool.ErrTimeout)
	assert.Less(t, time.Since(begun), 5*time.Second)
	res, err := r.do("mcp__dying__echo", map[string]any{"text": "x"})
	require.NoError(t, err)
	assert.Equal(t, "x", res.Text)
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "not ready within 200ms") }, 10*time.Second, 5*time.Millisecond)
}

func TestDying(t *testing.T) {
	t.Parallel()
	r := start(t, child("dying"), child("exit"))
	r.until("mcp__dying__die")
	_, err := r.do("mcp__dying__die", nil)
	require.Error(t, err)
	require.Eventually(t, func() bool { return len(r.names()) == 0 }, 10*time.Second, time.Millisecond, "its tools go with it")
	r.until("mcp__dying__die")
	assert.Contains(t, r.log.String(), `"server":"exit"`)
	assert.Less(t, len(r.log.String()), 100_000, "what it says is bounded")
}

func TestNoiseBeforeTheProtocol(t *testing.T) {
	t.Parallel()
	r := start(t, child("noise"), child("plain"))
	r.until("mcp__plain__echo")
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), `"server":"noise","err"`) }, 10*time.Second, 5*time.Millisecond)
}

func TestSchemasAndNames(t *testing.T) {
	t.Parallel()
	r := start(t, child("schemas"), child("many"))
	r.until("mcp__schemas__wordy", "mcp__many__t0")
	var of []string
	for _, x := range r.h.Tools() {
		if x.Server == "schemas" {
			of = append(of, x.ID)
			assert.LessOrEqual(t, len(x.Doc), tool.MaxDescription)
		}
	}
	slices.Sort(of)
	assert.Equal(t, []string{"mcp__schemas__echo", "mcp__schemas__files_read", "mcp__schemas__wordy"}, of)
	assert.Len(t, r.h.Tools(), 3+128)
	for _, want := range []string{"refers to itself", "too large", "there twice", "not a name", "more than 128 tools"} {
		assert.Contains(t, r.log.String(), want)
	}
}

func TestResults(t *testing.T) {
	t.Parallel()
	s := child("results")
	s.Publish = []string{"lamp/set"}
	other := child("results")
	other.Name = "others"
	r := start(t, s, other)
	r.until("mcp__results__picture", "mcp__others__picture")
	res, err := r.do("mcp__results__picture", nil)
	require.NoError(t, err)
	assert.Equal(t, "a cat\n[a picture: image/png]\n[file:///cat.txt]\nmeow", res.Text)
	assert.Equal(t, []tool.Image{{Data: []byte("png"), MIME: "image/png"}}, res.Images)
	assert.Equal(t, map[string]any{"cats": 1.0}, res.Data)
	res, err = r.do("mcp__results__long", nil)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(res.Text), 8<<10)
	for name, want := range map[string]string{"fails": "the tool failed. no such file", "unsuccessful": "out of paper"} {
		_, err = r.do("mcp__results__"+name, nil)
		require.EqualError(t, err, want)
	}
	_, err = r.do("mcp__results__refuses", nil)
	require.ErrorContains(t, err, "not now")

	// At the reference any tool could have anything published anywhere.
	res, err = r.do("mcp__results__publishes", nil)
	require.NoError(t, err)
	assert.JSONEq(t, `{"success":true,"message":"lit"}`, res.Text, "the model does not see it")
	_, err = r.do("mcp__others__publishes", nil)
	require.ErrorContains(t, err, "it may not")
	r.mu.Lock()
	require.Len(t, r.sent, 1)
	assert.Equal(t, "lamp.set", r.sent[0].Type)
	assert.JSONEq(t, `{"on":true}`, string(r.sent[0].Data))
	r.mu.Unlock()

	_, err = r.do("mcp__results__huge", nil)
	require.Error(t, err, "beyond any measure: the connection ends, and comes back")
	r.until("mcp__results__echo")
}

// A list of what is allowed was read at the reference, under one of its two names, and never heeded.
func TestAllow(t *testing.T) {
	t.Parallel()
	s := child("results")
	s.Allow = []string{"pic*", "echo"}
	r := start(t, s)
	r.until("mcp__results__echo")
	assert.Equal(t, []string{"mcp__results__echo", "mcp__results__picture"}, r.names())
}

// A program gets what it needs of our environment, not our keys; and what it starts ends with it.
func TestPrograms(t *testing.T) {
	t.Parallel()
	env, kids := child("environment"), child("children")
	env.Env["TOKEN"] = "swordfish"
	pids := filepath.Join(t.TempDir(), "pids")
	kids.Env["PIDS"] = pids
	r := start(t, env, kids)
	r.until("mcp__environment__env", "mcp__children__echo")
	res, err := r.do("mcp__environment__env", nil)
	require.NoError(t, err)
	for line := range strings.Lines(res.Text) {
		name, _, _ := strings.Cut(line, "=")
		assert.Contains(t, []string{
			"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR", "TOKEN", childEnv, host.InstanceEnv,
		}, name)
	}
	b, err := os.ReadFile(pids)
	require.NoError(t, err)
	var own, its int
	_, err = fmt.Sscan(string(b), &own, &its)
	require.NoError(t, err)
	r.end()
	assert.True(t, gone(t, own), "the server")
	assert.True(t, gone(t, its), "what it started")
	assert.NotContains(t, r.log.String(), "swordfish")
}

func TestMissingProgram(t *testing.T) {
	t.Parallel()
	r := start(t, host.Server{Name: "none", Transport: host.Stdio, Command: "/there/is/no/such/program"})
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "MCP server lost") }, 10*time.Second, time.Millisecond)
}

// A server that shows our own mark is this tarsd: its tools are here already.
func TestItself(t *testing.T) {
	t.Parallel()
	s := mcp.NewServer(&mcp.Implementation{Name: "tarsd", Version: "1"}, nil)
	s.AddTool(&mcp.Tool{Name: "wave", InputSchema: object(""), Meta: mcp.Meta{tool.InstanceKey: "me"}}, nil)
	web := httptest.NewServer(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return s }, &mcp.StreamableHTTPOptions{Stateless: true}))
	t.Cleanup(web.Close)
	r := start(t, host.Server{Name: "mirror", Transport: host.HTTP, URL: web.URL})
	require.Eventually(t, func() bool { return strings.Contains(r.log.String(), "it is this tarsd itself") }, 10*time.Second, time.Millisecond)
	assert.Empty(t, r.names())
}

// Headers hold secrets: they go to the server that was configured and nowhere else.
func TestHeaders(t *testing.T) {
	t.Parallel()
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return newServer("plain") }, nil)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer swordfish" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	var leaked sync.Map
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { leaked.Store("it", r.Header.Clone()) }))
	t.Cleanup(thief.Close)
	away := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	t.Cleanup(away.Close)
	headers := map[string]string{"Authorization": "Bearer swordfish"}
	r := start(t,
		host.Server{Name: "good", Transport: host.HTTP, URL: web.URL, Headers: headers},
		host.Server{Name: "bad", Transport: host.HTTP, URL: web.URL, Headers: map[string]string{"Authorization": "Bearer wrong"}},
		host.Server{Name: "away", Transport: host.HTTP, URL: away.URL, Headers: headers},
	)
	r.until("mcp__good__echo")
	for _, name := range []string{"bad", "away"} {
		require.Eventually(t, func() bool { return strings.Contains(r.log.String(), `"server":"`+name+`","err"`) }, 10*time.Second, time.Millisecond)
	}
	_, got := leaked.Load("it")
	assert.False(t, got, "the redirect was followed")
	assert.NotContains(t, r.log.String(), "swordfish")
}

// A server behind a URL that takes requests and never answers must not hold up the end.
func TestHangingHTTP(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(done) })
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for range 20 {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				return
			}
		}
	}))
	t.Cleanup(huge.Close)
	r := start(t, host.Server{Name: "hangs", Transport: host.HTTP, URL: web.URL, ConnectTimeout: 300 * time.Millisecond},
		host.Server{Name: "huge", Transport: host.HTTP, URL: huge.URL}, child("plain"))
	r.until("mcp__plain__echo")
	for _, name := range []string{"hangs", "huge"} {
		require.Eventually(t, func() bool { return strings.Contains(r.log.String(), `"server":"`+name+`","err"`) }, 10*time.Second, time.Millisecond)
	}
	begun := time.Now()
	r.end()
	assert.Less(t, time.Since(begun), 2*time.Second)
}
