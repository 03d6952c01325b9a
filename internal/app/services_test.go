package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/engine/use"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/ears"
)

// The names of the configuration and the list are the same, in the same order: a service that is
// only in one of them would be configured and not run, or run and never chosen.
func TestCatalogIsConfigured(t *testing.T) {
	t.Parallel()
	names := []string{}
	for _, s := range catalog() {
		names = append(names, s.name)
		svc, err := s.make(parts{
			cfg: config.Default(), log: zerolog.Nop(), encoder: shared(use.Open),
			ears: func() (*ears.Ears, error) { return newEars(config.Default().Ears) },
		})
		require.NoError(t, err, "%s by default", s.name)
		assert.Equal(t, s.name, svc.Name())
	}
	assert.ElementsMatch(t, config.ServiceNames(), names)
}

// One who gives up leaves the opening to the next; what was opened, or cannot be, is so for all.
func TestShared(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for name, last := range map[string]error{"opens": nil, "fails": broken} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := 0
			get := shared(func(ctx context.Context) (int, error) {
				n++
				if err := ctx.Err(); err != nil {
					return 0, err
				}
				return n, last
			})
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			_, err := get(ended)
			require.ErrorIs(t, err, context.Canceled)
			for range 3 {
				v, err := get(t.Context())
				require.ErrorIs(t, err, last)
				assert.Equal(t, 2, v)
			}
			_, err = get(ended)
			require.ErrorIs(t, err, last, "it is there, or it is not")
		})
	}
}

// fake is a service that is called as a real one is, since only those can be chosen.
type fake struct {
	name string
	run  func(ctx context.Context, rt services.Runtime) error
}

func (f fake) Name() string { return f.name }

func (f fake) Run(ctx context.Context, rt services.Runtime) error {
	if f.run != nil {
		return f.run(ctx, rt)
	}
	rt.Ready()
	<-ctx.Done()
	return nil
}

// Check implements services.Checker.
func (f fake) Check(context.Context) []services.Finding {
	return []services.Finding{{Verdict: services.Fine, Text: "looks well"}, {Verdict: services.Failure, Text: "has no arms"}}
}

// mover is a fake that is stopped first.
type mover struct{ fake }

func (mover) StopFirst() {}

// both chooses the services that fakes are called as.
const both = "services=memory,llm"

// fakes makes a catalog.
func fakes(list ...services.Service) []service {
	out := []service{}
	for _, s := range list {
		out = append(out, service{s.Name(), false, func(parts) (services.Service, error) { return s, nil }})
	}
	return out
}

func beginWith(t *testing.T, l *config.Loaded, log io.Writer, list ...services.Service) *App {
	t.Helper()
	a, err := Start(t.Context(), Options{Config: l, Version: "test", Log: zerolog.New(log), services: fakes(list...), patience: patient})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Stop()) })
	return a
}

// until polls, since what is waited for is another goroutine's and has no channel.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 5*time.Millisecond, what)
}

func get(t *testing.T, a *App, path string) string {
	t.Helper()
	resp, err := http.Get("http://" + a.HTTP() + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func TestServicesRunInProcess(t *testing.T) {
	t.Parallel()
	a := beginWith(t, load(t, t.TempDir(), both), zerolog.NewTestWriter(t), fake{name: "memory"},
		fake{"llm", func(context.Context, services.Runtime) error { return errors.New("no key\nsecond line") }})
	until(t, "states", func() bool {
		s := a.Services()
		return s[0].State == services.Ready && s[1].State == services.Restarting
	})
	body := get(t, a, "/metrics")
	for _, line := range []string{
		`tarsd_service_up{service="memory"} 1`, `tarsd_service_restarts_total{service="memory"} 0`,
		`tarsd_service_up{service="llm"} 0`, `tarsd_service_restarts_total{service="llm"} `,
	} {
		assert.Contains(t, body, line)
	}
	var h struct{ Status, Reason string }
	require.NoError(t, json.Unmarshal([]byte(get(t, a, "/healthz")), &h))
	assert.Equal(t, "degraded", h.Status)
	assert.Contains(t, h.Reason, "service llm is restarting: no key")
	assert.NotContains(t, h.Reason, "second line")
	st := a.status().Services
	require.Len(t, st, 2)
	assert.Equal(t, "ready", st[0].State)
	assert.Equal(t, "no key", st[1].Error)
	assert.Positive(t, st[1].Restarts)
}

// Motion is stopped before anything else, also before HTTP, which may wait for its requests.
func TestMotionStopsFirst(t *testing.T) {
	t.Parallel()
	var a *App
	open := make(chan bool, 1)
	legs := mover{fake{"memory", func(ctx context.Context, rt services.Runtime) error {
		rt.Ready()
		<-ctx.Done()
		nc, err := net.Dial("tcp", a.HTTP())
		if err == nil {
			nc.Close()
		}
		open <- err == nil && rt.Bus.Stats().Connected
		return nil
	}}}
	a = beginWith(t, load(t, t.TempDir(), both), zerolog.NewTestWriter(t), legs, fake{name: "llm"})
	until(t, "ready", func() bool { return a.Services()[0].State == services.Ready })
	require.NoError(t, a.Stop())
	assert.True(t, <-open)
}

// A service that does not end costs the stop no more than its deadline.
func TestStuckServiceDoesNotKeepTheStop(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	stuck := func(_ context.Context, rt services.Runtime) error {
		rt.Ready()
		<-release
		return nil
	}
	dir := t.TempDir()
	a, err := Start(t.Context(), Options{Config: load(t, dir, both), Log: zerolog.Nop(), services: fakes(mover{fake{"memory", stuck}}, fake{"llm", stuck})})
	require.NoError(t, err)
	until(t, "ready", func() bool { return a.Services()[0].State == services.Ready && a.Services()[1].State == services.Ready })
	t0 := time.Now()
	err = a.Stop()
	assert.Less(t, time.Since(t0), stopWithin)
	require.ErrorContains(t, err, "stop motion: service memory: does not end")
	require.ErrorContains(t, err, "stop services: ")
	begin(t, load(t, dir)) // the file was closed
}

// syncBuffer is a log that a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// remoteConfig is a process of services only.
func remoteConfig(t *testing.T, set ...string) *config.Loaded {
	t.Helper()
	s := config.Source{File: os.DevNull, Set: []config.Assignment{{Key: "data_dir", Value: filepath.Join(t.TempDir(), "none"), From: "--data"}}}
	for _, kv := range set {
		k, v, _ := strings.Cut(kv, "=")
		s.Set = append(s.Set, config.Assignment{Key: k, Value: v, From: "--set"})
	}
	l, err := config.Load(s)
	require.NoError(t, err)
	return l
}

// A process of services only starts no broker and makes no files; its password comes from the URL,
// the environment or a file and is in no line of the log.
func TestServicesAtABrokerElsewhere(t *testing.T) {
	t.Parallel()
	robot := begin(t, load(t, t.TempDir(), "access.anonymous=false"))
	require.NoError(t, UserChange{Name: "ears", Password: []byte("hunter2/@"), Roles: []string{"service"}}.apply(t.Context(), robot.users))
	at := strings.TrimPrefix(robot.Listeners()[0], "tcp://")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("hunter2/@\r\nnot this\n"), 0o600))
	for name, set := range map[string][]string{
		"url":      {"broker.url=mqtt://ears:hunter2%2F%40@" + at},
		"password": {"broker.url=mqtt://" + at, "broker.user=ears", "broker.password=hunter2/@"},
		"file":     {"broker.url=mqtt://ears@" + at, "broker.password_file=" + file, "http.listen=127.0.0.1:0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &syncBuffer{}
			l := remoteConfig(t, append(set, "log.level=debug")...)
			service := map[string]string{"url": "memory", "password": "llm", "file": "memory"}[name]
			said := make(chan string, 1)
			a := beginWith(t, l, log, fake{service, func(ctx context.Context, rt services.Runtime) error {
				_, err := client.Subscribe(rt.Bus, contract.STTFinal, func(_ context.Context, m client.Message[contract.FinalTranscript]) error {
					select {
					case said <- m.Data.Text:
					default: // another subtest's
					}
					return nil
				})
				if err != nil {
					return err
				}
				rt.Ready()
				f := contract.FinalTranscript{Text: "over there", Lang: "en", IsFinal: true}
				if _, err := client.Publish(ctx, rt.Bus, contract.STTFinal, f); err != nil {
					return err
				}
				<-ctx.Done()
				return nil
			}})
			select {
			case text := <-said:
				assert.Equal(t, "over there", text)
			case <-time.After(10 * time.Second):
				require.Fail(t, "nothing arrives", "%s", log)
			}
			assert.Empty(t, a.Listeners())
			_, err := os.Stat(l.DataDir)
			require.ErrorIs(t, err, os.ErrNotExist, "no data directory")
			if name == "file" {
				assert.Contains(t, get(t, a, "/metrics"), `tarsd_service_up{service="memory"} 1`)
				assert.Contains(t, get(t, a, "/healthz"), `"status":"ok"`)
			} else {
				assert.Empty(t, a.HTTP(), "nobody has asked for it")
			}
			require.NoError(t, a.Stop())
			assert.NotContains(t, log.String(), "hunter2")
			assert.Contains(t, log.String(), at)
		})
	}
}

func TestRemoteStartFails(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for name, c := range map[string]struct {
		set  []string
		want string
	}{
		"nothing to run":   {[]string{"services=none"}, "broker.url is set and services is none"},
		"no password file": {[]string{"broker.url=mqtt://u@127.0.0.1:1", "broker.password_file=/nonexistent"}, "broker.password_file: open /nonexistent"},
		"empty password":   {[]string{"broker.url=mqtt://u@127.0.0.1:1", "broker.password_file=" + empty}, "the first line is empty"},
		"no authority":     {[]string{"broker.url=mqtts://127.0.0.1:1", "broker.tls.ca=" + empty}, "holds no certificate"},
		"no certificate":   {[]string{"broker.url=mqtts://127.0.0.1:1", "broker.tls.cert=" + empty, "broker.tls.key=" + empty}, "broker.tls.cert: "},
	} {
		l := remoteConfig(t, append([]string{"broker.url=mqtt://127.0.0.1:1"}, c.set...)...)
		all := fakes(fake{name: "memory"})
		_, err := Start(t.Context(), Options{Config: l, Log: zerolog.Nop(), services: all})
		require.ErrorContains(t, err, c.want, name)
		text := ""
		for _, f := range check(t.Context(), l, all) {
			text += f.String() + "\n"
		}
		assert.Contains(t, text, c.want, "check: %s", name)
	}
}

// check says which services would run and what they say themselves.
func TestCheckOfServices(t *testing.T) {
	t.Parallel()
	all := fakes(fake{name: "memory"}, fake{name: "llm"})
	say := func(l *config.Loaded) string {
		text := ""
		for _, f := range check(t.Context(), l, all) {
			text += f.String() + "\n"
		}
		return text
	}
	text := say(load(t, t.TempDir(), both))
	assert.Contains(t, text, "ok      services: memory, llm\n")
	assert.Contains(t, text, "ok      service memory: looks well\n")
	assert.Contains(t, text, "FAILED  service llm: has no arms\n")
	text = say(load(t, t.TempDir(), "services=llm"))
	assert.Contains(t, text, "services: llm\n")
	assert.NotContains(t, text, "memory")
	assert.Contains(t, say(load(t, t.TempDir(), "services=none")), "services: none\n")
	text = say(remoteConfig(t, "broker.url=mqtt://u:hunter2@127.0.0.1:1", "services=memory"))
	assert.Contains(t, text, "they use the broker at mqtt://u:***@127.0.0.1:1; none runs here\n")
	assert.NotContains(t, text, "listen")
	assert.NotContains(t, text, "hunter2")
}

// Spans of what services do reach the collector that is configured, and the last ones are sent at
// the stop.
func TestSpansOfServices(t *testing.T) {
	t.Parallel()
	got := make(chan []byte, 100)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err == nil {
			got <- b
		}
		assert.Equal(t, "Bearer x", r.Header.Get("Authorization"))
	})}
	go func() { _ = srv.Serve(ln) }()
	t.Cleanup(func() { _ = srv.Close() })
	a := beginWith(t, load(t, t.TempDir(), both, "trace.endpoint=http://"+ln.Addr().String(), "trace.headers.authorization=Bearer x"), zerolog.NewTestWriter(t),
		fake{"memory", func(ctx context.Context, rt services.Runtime) error {
			rt.Ready()
			_, err := client.Publish(ctx, rt.Bus, contract.TTSSay, contract.Say{Text: "x"})
			if err != nil {
				return err
			}
			<-ctx.Done()
			return nil
		}})
	until(t, "published", func() bool { return a.Services()[0].Bus.Publishes.Published > 1 })
	require.NoError(t, a.Stop())
	select {
	case b := <-got:
		assert.Contains(t, string(b), "publish tts/say")
		assert.Contains(t, string(b), "memory")
	case <-time.After(10 * time.Second):
		require.Fail(t, "no span")
	}
	sent, dropped := a.tracer.Spans()
	assert.Equal(t, [2]uint64{1, 0}, [2]uint64{sent, dropped})
}
