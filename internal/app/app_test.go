package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/storage"
)

// load makes a configuration of KEY=VALUE words for free ports on loopback, without services.
func load(t *testing.T, dir string, set ...string) *config.Loaded {
	t.Helper()
	s := config.Source{File: os.DevNull, Set: []config.Assignment{
		{Key: "data_dir", Value: dir, From: "--data"},
		{Key: "listen", Value: "tcp://127.0.0.1:0", From: "--listen"},
		{Key: "http.listen", Value: "127.0.0.1:0", From: "--http"},
		{Key: "services", Value: "none", From: "--services"},
	}}
	for _, kv := range set {
		k, v, _ := strings.Cut(kv, "=")
		s.Set = append(s.Set, config.Assignment{Key: k, Value: v, From: "--set"})
	}
	l, err := config.Load(s)
	require.NoError(t, err)
	return l
}

// patient is for tests which are not about the time that a stop takes: the machine may be very busy, and
// whatever does not end fails all the same.
const patient = 8

// begin starts an App that the test's end stops.
func begin(t *testing.T, l *config.Loaded) *App {
	t.Helper()
	a, err := Start(t.Context(), Options{Config: l, Version: "test", Log: zerolog.New(zerolog.NewTestWriter(t)), patience: patient})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, a.Stop()) })
	return a
}

// connect logs in with MQTT 3.1.1 over nc and returns the return code of the CONNACK.
func connect(t *testing.T, nc net.Conn, id, user, password string) byte {
	t.Helper()
	str := func(b []byte, s string) []byte { return append(append(b, byte(len(s)>>8), byte(len(s))), s...) }
	flags := byte(2)
	if user != "" {
		flags |= 0xc0
	}
	body := append(str(nil, "MQTT"), 4, flags, 0, 60)
	body = str(body, id)
	if user != "" {
		body = str(str(body, user), password)
	}
	require.NoError(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
	_, err := nc.Write(append([]byte{0x10, byte(len(body))}, body...))
	require.NoError(t, err)
	var ack [4]byte
	_, err = io.ReadFull(nc, ack[:])
	require.NoError(t, err)
	require.Equal(t, byte(0x20), ack[0])
	return ack[3]
}

func dialTCP(t *testing.T, a *App) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(a.Listeners()[0], "tcp://"))
	require.NoError(t, err)
	t.Cleanup(func() { nc.Close() })
	return nc
}

func TestStartServesAndStops(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	a, err := Start(t.Context(), Options{Config: load(t, dir), Version: "test", Log: zerolog.Nop()})
	require.NoError(t, err)
	nc := dialTCP(t, a)
	assert.Zero(t, connect(t, nc, "one", "", ""))
	mem, err := a.Dial(t.Context())
	require.NoError(t, err)
	defer mem.Close()
	assert.Zero(t, connect(t, mem, "two", "", ""))
	require.Eventually(t, a.isReady, 10*time.Second, 10*time.Millisecond, "the services become ready")
	for path, want := range map[string]string{"/healthz": `"status":"ok"`, "/readyz": `"ready":true`, "/metrics": "tarsd_", "/": "<html"} {
		resp, err := http.Get("http://" + a.HTTP() + path)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		assert.Equal(t, 200, resp.StatusCode, path)
		assert.Contains(t, string(body), want, path)
	}

	t0 := time.Now()
	require.NoError(t, a.Stop())
	assert.Less(t, time.Since(t0), stopWithin)
	rest, err := io.ReadAll(nc)
	assert.Empty(t, rest, "3.1.1 has no DISCONNECT from the server")
	assert.NoError(t, err)
	_, err = net.Dial("tcp", nc.RemoteAddr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	require.NoError(t, a.Stop(), "a second time is harmless")
	again := begin(t, load(t, dir))
	assert.NotEqual(t, a.id, again.id)
}

// TestStopDoesNotWaitForClients stops while clients are in the middle of something: a CONNECT, a
// PUBLISH, an HTTP request, a connection to the admin socket.
func TestStopDoesNotWaitForClients(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir()))
	a.o.patience = 1
	for range 20 {
		nc := dialTCP(t, a)
		_, err := nc.Write([]byte{0x10, 60, 0, 4, 'M'})
		require.NoError(t, err)
	}
	nc := dialTCP(t, a)
	require.Zero(t, connect(t, nc, "slow", "", ""))
	_, err := nc.Write([]byte{0x30, 0xff, 0x7f, 0, 1, 'a'})
	require.NoError(t, err)
	for _, address := range []string{"tcp " + a.HTTP(), "unix " + adminSocket(a.cfg.DataDir)} {
		network, addr, _ := strings.Cut(address, " ")
		hc, err := net.Dial(network, addr)
		require.NoError(t, err)
		defer hc.Close()
		_, err = hc.Write([]byte("GET /healthz HTTP/1.1\r\nHost:"))
		require.NoError(t, err)
	}
	t0 := time.Now()
	err = a.Stop()
	assert.Less(t, time.Since(t0), stopWithin)
	require.NoError(t, err)
}

func TestFailedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer busy.Close()
	port := busy.Addr().String()
	dir := filepath.Join(t.TempDir(), "data")
	for name, c := range map[string]struct{ set, want string }{
		"listener": {"listen=tcp://127.0.0.1:0,tcp://" + port, "listen tcp://" + port + ": the address is in use by another program"},
		"http":     {"http.listen=" + port, "listen http.listen " + port + ": the address is in use by another program"},
		"address":  {"listen=tcp://192.0.2.1:0", "listen tcp://192.0.2.1:0: this machine has no such address"},
		"role":     {"access.local_roles=king", `access.local_roles: unknown role "king"`},
		"rule":     {"access.roles.a=fly x", `access.roles.a[0]: "fly x"`},
	} {
		_, err := Start(t.Context(), Options{Config: load(t, dir, c.set), Log: zerolog.Nop()})
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.want, name)
		assert.NotContains(t, err.Error(), "\n", name)
	}
	left := filepath.Join(dir, "restore-1.tmp")
	require.NoError(t, os.WriteFile(left, []byte("x"), 0o600))
	begin(t, load(t, dir)) // nobody holds the lock
	_, err = os.Stat(left)
	require.ErrorIs(t, err, os.ErrNotExist, "a restore that was cut off")
}

func TestDataDirectoryBelongsToOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	begin(t, load(t, dir))
	_, err := Start(t.Context(), Options{Config: load(t, dir), Log: zerolog.Nop()})
	require.ErrorIs(t, err, storage.ErrLocked)
	assert.Contains(t, err.Error(), "data directory "+dir+" is in use by another tarsd")
	file := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Start(t.Context(), Options{Config: load(t, file), Log: zerolog.Nop()})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "not a directory")
}

func TestAdminSocketInALongPath(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30), "data")
	a := begin(t, load(t, dir))
	info, err := os.Stat(adminSocket(dir))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	r, err := dialRemote(t.Context(), dir)
	require.NoError(t, err)
	defer r.Close()
	s, err := r.status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, a.id, s.ID)
	assert.Equal(t, os.Getpid(), s.PID)
	assert.Equal(t, a.Listeners(), s.Listeners)
	assert.Equal(t, "ok", s.Health)
}

func TestUserChangesHoldAtOnce(t *testing.T) {
	t.Parallel()
	l := load(t, t.TempDir(), "access.anonymous=false")
	a := begin(t, l)
	admin, err := OpenUserAdmin(t.Context(), l.Config, zerolog.Nop())
	require.NoError(t, err)
	defer admin.Close()
	require.IsType(t, &remote{}, admin)

	const password = "correct horse"
	require.Error(t, admin.Change(t.Context(), UserChange{Name: "eve", Password: []byte(password)}), "no role")
	require.NoError(t, admin.Change(t.Context(), UserChange{Name: "eve", Password: []byte(password), Roles: []string{"viewer"}}))
	assert.Equal(t, byte(5), connect(t, dialTCP(t, a), "none", "", ""))
	nc := dialTCP(t, a)
	require.Zero(t, connect(t, nc, "eve-1", "eve", password))

	require.NoError(t, admin.Change(t.Context(), UserChange{Name: "eve", Password: []byte("another one")}))
	_, err = io.ReadAll(nc)
	require.NoError(t, err, "the connection was closed")
	assert.NotZero(t, connect(t, dialTCP(t, a), "eve-1", "eve", password))
	require.Zero(t, connect(t, dialTCP(t, a), "eve-1", "eve", "another one"))

	users, err := admin.List(t.Context())
	require.NoError(t, err)
	require.Len(t, users, 1)
	assert.Equal(t, []string{"viewer"}, users[0].Roles)
	require.NoError(t, admin.Change(t.Context(), UserChange{Name: "eve", Delete: true}))
	err = admin.Change(t.Context(), UserChange{Name: "eve", Delete: true})
	require.Error(t, err)
	assert.Contains(t, err.Error(), "unknown user")
}

func TestUsersWithoutARunningTarsd(t *testing.T) {
	t.Parallel()
	l := load(t, filepath.Join(t.TempDir(), "new"))
	admin, err := OpenUserAdmin(t.Context(), l.Config, zerolog.Nop())
	require.NoError(t, err)
	require.IsType(t, &offline{}, admin)
	require.NoError(t, admin.Change(t.Context(), UserChange{Name: "ann", Password: []byte("secret"), Roles: []string{"admin"}}))
	require.NoError(t, admin.Close())
	a := begin(t, l)
	require.Zero(t, connect(t, dialTCP(t, a), "x", "ann", "secret"))
	assert.NotContains(t, a.notice(), "passwd")
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	l := load(t, t.TempDir())
	out := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan struct{}, 2)
	log := zerolog.New(writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("tarsd is ready")) {
			ready <- struct{}{}
		}
		return len(p), nil
	}))
	done := make(chan error, 1)
	go func() { done <- Run(ctx, Options{Config: l, Version: "test", Log: log}) }()
	<-ready

	first := filepath.Join(out, "first.db")
	n, err := Backup(t.Context(), l.Config, first, log)
	require.NoError(t, err)
	info, err := os.Stat(first)
	require.NoError(t, err)
	assert.Equal(t, info.Size(), n)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = Backup(t.Context(), l.Config, first, log)
	require.Error(t, err, "nothing is overwritten")

	change(t, l, UserChange{Name: "ann", Password: []byte("secret"), Roles: []string{"admin"}})
	cut := filepath.Join(out, "cut.db")
	b, err := os.ReadFile(first)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(cut, b[:len(b)/2], 0o600))
	_, err = Restore(t.Context(), l.Config, cut)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "does not verify")
	assert.Len(t, users(t, l), 1, "nothing happened")

	restarted, err := Restore(t.Context(), l.Config, first)
	require.NoError(t, err)
	assert.True(t, restarted)
	<-ready
	assert.Empty(t, users(t, l))
	cancel()
	require.NoError(t, <-done)

	change(t, l, UserChange{Name: "bob", Password: []byte("secret"), Roles: []string{"admin"}})
	restarted, err = Restore(t.Context(), l.Config, first)
	require.NoError(t, err)
	assert.False(t, restarted)
	assert.Empty(t, users(t, l))
	staged, err := filepath.Glob(filepath.Join(l.DataDir, "restore-*"))
	require.NoError(t, err)
	assert.Empty(t, staged)
	_, err = os.Stat(first)
	require.NoError(t, err, "the backup is still there")
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func change(t *testing.T, l *config.Loaded, c UserChange) {
	t.Helper()
	admin, err := OpenUserAdmin(t.Context(), l.Config, zerolog.Nop())
	require.NoError(t, err)
	require.NoError(t, admin.Change(t.Context(), c))
	require.NoError(t, admin.Close())
}

func users(t *testing.T, l *config.Loaded) []string {
	t.Helper()
	admin, err := OpenUserAdmin(t.Context(), l.Config, zerolog.Nop())
	require.NoError(t, err)
	defer admin.Close()
	list, err := admin.List(t.Context())
	require.NoError(t, err)
	names := []string{}
	for _, u := range list {
		names = append(names, u.Name)
	}
	return names
}

func TestNoticeNamesTheCommand(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's here")
	var log bytes.Buffer
	a, err := Start(t.Context(), Options{Config: load(t, dir), Log: zerolog.New(&log)})
	require.NoError(t, err)
	defer a.Stop()
	var last struct{ Level, Message string }
	lines := bytes.Split(bytes.TrimSpace(log.Bytes()), []byte("\n"))
	require.NoError(t, json.Unmarshal(lines[len(lines)-1], &last))
	assert.Equal(t, "warn", last.Level)
	quoted := "'" + strings.ReplaceAll(dir, "'", `'\''`) + "'"
	assert.Contains(t, last.Message, "tarsd passwd --data "+quoted+" --role device NAME")
}

func TestShellQuote(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"/var/lib/tarsd": "/var/lib/tarsd", "a b": "'a b'", "": "''", "$(x)": "'$(x)'", "it's": `'it'\''s'`,
	} {
		assert.Equal(t, want, shellQuote(in))
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	find := func(fs []Finding, text string) Verdict {
		for _, f := range fs {
			if strings.Contains(f.Text, text) {
				return f.Verdict
			}
		}
		return ""
	}
	dir := filepath.Join(t.TempDir(), "data")
	l := load(t, dir)
	fs := Check(t.Context(), l)
	assert.Zero(t, Failures(fs), "%v", fs)
	assert.Equal(t, Fine, find(fs, "tarsd would begin anew"))
	assert.Equal(t, Warning, find(fs, "there is no user"))
	_, err := os.Stat(dir)
	require.ErrorIs(t, err, os.ErrNotExist, "check makes nothing")

	change(t, l, UserChange{Name: "ann", Password: []byte("secret"), Roles: []string{"admin"}})
	fs = Check(t.Context(), l)
	assert.Equal(t, Fine, find(fs, "users: 1"))
	assert.Equal(t, Fine, find(fs, "the file verifies"))

	fs = Check(t.Context(), load(t, dir, "access.anonymous=true", "access.roles.a=fly", "tls.cert=no", "tls.key=no"))
	assert.Equal(t, 2, Failures(fs), "%v", fs)
	assert.Equal(t, Failure, find(fs, "access.roles.a[0]"))
	assert.Equal(t, Failure, find(fs, "tls: "))

	begin(t, l)
	fs = Check(t.Context(), l)
	assert.Equal(t, Fine, find(fs, "runs in "+dir))
	assert.Zero(t, Failures(fs))
}
