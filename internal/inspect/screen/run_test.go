package screen

import (
	"bytes"
	"context"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/internal/inspect/feed"
	"github.com/tarsd/tarsd/services/client"
)

const wait = 20 * time.Second

// terminal keeps what was written to it.
type terminal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *terminal) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

// session is the program on a terminal, attached to a broker.
type session struct {
	t     *testing.T
	out   *terminal
	frame atomic.Pointer[string] // drawn last; out gets only what has changed in it
	keys  *io.PipeWriter
	done  chan error
}

func run(t *testing.T, ctx context.Context, url string, o ...tea.ProgramOption) *session {
	t.Helper()
	f, err := feed.Connect(ctx, feed.Options{Client: client.Options{URL: url}})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	in, keys := io.Pipe()
	r := &session{t: t, out: &terminal{}, keys: keys, done: make(chan error, 1)}
	watch := func(m tea.Model, msg tea.Msg) tea.Msg {
		if p, ok := m.(*program); ok {
			r.frame.Store(new(ansi.Strip(p.frame)))
		}
		return msg
	}
	o = append([]tea.ProgramOption{tea.WithFilter(watch), tea.WithWindowSize(80, 24), tea.WithEnvironment([]string{"TERM=xterm-256color"})}, o...)
	go func() { r.done <- Run(ctx, f, in, r.out, o...) }()
	t.Cleanup(func() { _ = keys.Close() })
	return r
}

func (r *session) sees(text string) {
	r.t.Helper()
	require.Eventually(r.t, func() bool {
		f := r.frame.Load()
		return f != nil && strings.Contains(*f, text)
	}, wait, 10*time.Millisecond, "%q on the screen", text)
}

func (r *session) types(keys string) {
	r.t.Helper()
	_, err := io.WriteString(r.keys, keys)
	require.NoError(r.t, err)
}

func (r *session) ends() {
	r.t.Helper()
	select {
	case err := <-r.done:
		require.NoError(r.t, err)
	case <-time.After(wait):
		require.Fail(r.t, "it goes on")
	}
}

// TestRun looks at a broker, publishes and clears a message, and quits.
func TestRun(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	b.Engine.Publish("hello/world", []byte(`{"greeting":"hi"}`), 0, true)
	c, err := client.Connect(t.Context(), client.Options{Dial: b.DialMemory, ID: "peer", NoHealth: true, Heartbeat: -1})
	require.NoError(t, err)
	defer func() { assert.NoError(t, c.Close(context.Background())) }()
	got := make(chan client.RawMessage, 10)
	_, err = c.SubscribeRaw("hello/#", 1, func(_ context.Context, m client.RawMessage) error {
		got <- m
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	next := func() client.RawMessage {
		select {
		case m := <-got:
			return m
		case <-time.After(wait):
			require.Fail(t, "no message")
			return client.RawMessage{}
		}
	}
	assert.Equal(t, "hello/world", next().Topic)

	r := run(t, t.Context(), "tcp://"+b.TCP())
	r.sees("hello (1)")
	r.types("/greeting\r")
	r.sees(`"greeting": "hi"`)
	r.types("p/too\r")
	r.sees("payload:")
	r.types("from the screen\r")
	r.sees("publish 15 bytes on hello/world/too")
	r.types("y")
	m := next()
	assert.Equal(t, "hello/world/too", m.Topic)
	assert.Equal(t, "from the screen", string(m.Payload))
	r.sees("published on hello/world/too")
	r.types("D")
	r.sees("clear the retained message on hello/world?")
	r.types("y")
	m = next()
	assert.Equal(t, "hello/world", m.Topic)
	assert.Empty(t, m.Payload)
	r.sees("1 retained message cleared")
	r.types("q")
	r.ends()
}

// The end of the context ends the program without an error: it is how tarsd is interrupted.
func TestRunIsInterrupted(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := run(t, ctx, "tcp://"+b.TCP())
	r.sees("connected")
	cancel()
	r.ends()
}

// Without colours none are written, and what stands out does so by other means.
func TestNoColour(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	b.Engine.Publish("system/health/stt", []byte(`{"ok":false,"err":"broken"}`), 0, true)
	env := []string{"TERM=xterm-256color", "NO_COLOR=1"}
	r := run(t, t.Context(), "tcp://"+b.TCP(), tea.WithEnvironment(env), tea.WithColorProfile(colorprofile.Env(env)))
	r.sees("system (1)")
	r.types("h")
	r.sees("broken")
	r.types("q")
	r.ends()
	assert.NotRegexp(t, `\x1b\[[0-9;]*\b(3[0-7]|9[0-7]|38)m`, r.out.String())
	assert.Contains(t, r.out.String(), "\x1b[7m")
}

// slow is a bus whose model is busy; nothing of the program may wait for more than that.
type slow struct {
	m      *inspect.Model
	status feed.Status
}

func (s *slow) With(f func(*inspect.Model)) { f(s.m) }
func (s *slow) Status() feed.Status         { return s.status }

func (s *slow) Publish(context.Context, string, []byte, byte, bool) error {
	return io.ErrUnexpectedEOF
}

// obedient publishes.
type obedient struct{ slow }

func (s *obedient) Publish(context.Context, string, []byte, byte, bool) error { return nil }

func (s *slow) Keeper(_ context.Context, topic string) (feed.Keeper, bool) {
	return feed.Keeper{Topic: topic, From: "somebody", At: time.Now()}, true
}

// shared is a bus whose model somebody else fills, as the feed does.
type shared struct {
	slow
	mu sync.Mutex
}

func (s *shared) With(f func(*inspect.Model)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.m)
}

// The program looks at the model only while it has it: for the race detector.
func TestModelIsShared(t *testing.T) {
	t.Parallel()
	bus := &shared{slow: slow{m: inspect.New(inspect.DefaultLimits())}}
	p := &program{ctx: t.Context, bus: bus, s: NewState()}
	bus.m.Add(kept(0, "a", "x"))
	p.Update(tickMsg(now))
	require.NotNil(t, p.s.selected)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 200 {
			bus.With(func(m *inspect.Model) { m.Add(kept(i, "a", "x")) })
		}
	})
	for range 200 {
		p.Update(tickMsg(now))
	}
	wg.Wait()
}

func TestProgram(t *testing.T) {
	t.Parallel()
	bus := &slow{m: inspect.New(inspect.DefaultLimits())}
	p := &program{ctx: t.Context, bus: bus, s: NewState()}
	p.Update(tea.WindowSizeMsg{Width: 100, Height: 30})
	assert.Len(t, strings.Split(p.frame, "\n"), 30)
	assert.Contains(t, p.frame, "no connection yet")

	m := kept(0, "a", "x")
	m.At = time.Now()
	bus.m.Add(m)
	p.Update(tickMsg(time.Now()))
	assert.Contains(t, p.frame, "a ®", "a message is drawn with the next tick")
	before := p.frame
	p.s.say(time.Now(), "not drawn")
	p.second, p.version = time.Now().Unix(), bus.m.Version()
	p.Update(tickMsg(time.Now()))
	if time.Now().Unix() == p.second {
		assert.Equal(t, before, p.frame, "nothing new, nothing drawn")
	}

	p.asked = time.Time{}
	cmd := p.askKeeper(time.Now())
	require.NotNil(t, cmd)
	assert.Nil(t, p.askKeeper(time.Now()), "not again at once")
	p.Update(cmd())
	assert.Contains(t, p.frame, "by somebody")
	p.Update(keeperMsg{feed.Keeper{Topic: "other", From: "nobody"}})
	assert.Contains(t, p.frame, "by somebody", "an answer that comes too late changes nothing")

	msg := p.send(empties([]string{"a", "b"}))()
	assert.Equal(t, sentMsg{"0 of 2 sent: unexpected EOF"}, msg)
	p.Update(msg)
	assert.Contains(t, p.frame, "0 of 2 sent")
	p.bus = &obedient{slow: *bus}
	assert.Equal(t, sentMsg{"2 retained messages cleared"}, p.send(empties([]string{"a", "b"}))())
	assert.Equal(t, sentMsg{"published on a"}, p.send([]outgoing{{topic: "a"}})(), "empty, and not retained: it clears nothing")
	p.Update(tea.BackgroundColorMsg{})
	p.Update(tea.MouseWheelMsg{X: 1, Y: 5, Button: tea.MouseWheelDown})
	p.Update(tea.MouseClickMsg{X: 1, Y: 2, Button: tea.MouseLeft})
	assert.True(t, p.View().AltScreen)
}
