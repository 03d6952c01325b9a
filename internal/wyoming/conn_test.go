package wyoming

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Address{
		"tcp://127.0.0.1:10200": {Network: "tcp", Addr: "127.0.0.1:10200"}, "tcp://[::1]:1": {Network: "tcp", Addr: "[::1]:1"},
		"unix:///run/x.sock": {Network: "unix", Addr: "/run/x.sock"}, "stdio:/usr/bin/piper --voice x": {Network: "stdio", Addr: "/usr/bin/piper", Args: []string{"--voice", "x"}},
	} {
		got, err := ParseAddress(in)
		require.NoError(t, err, in)
		assert.Equal(t, want, got)
		assert.Equal(t, in, got.String())
	}
	for _, bad := range []string{"", "127.0.0.1:1", "tcp://", "tcp://host", "tcp://host:", "unix://relative", "http://host:1", "stdio:", "stdio: "} {
		_, err := ParseAddress(bad)
		require.ErrorContains(t, err, "the address is not like", bad)
	}
}

// child is what this test's program does when it is started as a peer.
func child(mode string) {
	c := NewConn(&process{in: os.Stdout, out: os.Stdin, done: make(chan struct{})}, Options{})
	ctx := context.Background()
	switch mode {
	case "echo":
		for {
			ev, err := c.Read(ctx)
			if err != nil {
				return
			}
			if err := c.Write(ctx, ev); err != nil {
				return
			}
		}
	case "dies":
		fmt.Fprintln(os.Stderr, "no model")
	case "stays":
		fmt.Fprintln(os.Stderr, "I stay")
		<-time.After(time.Hour)
	}
}

func TestMain(m *testing.M) {
	if mode := os.Getenv("WYOMING_TEST_CHILD"); mode != "" {
		child(mode)
		return
	}
	os.Exit(m.Run())
}

// dialChild starts this program as a peer.
func dialChild(t *testing.T, mode string) *Conn {
	t.Helper()
	a, err := ParseAddress("stdio:env WYOMING_TEST_CHILD=" + mode + " " + os.Args[0])
	require.NoError(t, err)
	c, err := Dial(t.Context(), a, Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

func TestStdio(t *testing.T) {
	t.Parallel()
	t.Run("echo", func(t *testing.T) {
		t.Parallel()
		c := dialChild(t, "echo")
		for range 3 {
			want := Chunk(16000, make([]int16, 100_000)) // more than a pipe holds
			sent := make(chan error, 1)
			go func() { sent <- c.Write(t.Context(), want) }()
			got, err := c.Read(t.Context())
			require.NoError(t, err)
			require.NoError(t, <-sent)
			assert.Equal(t, want, got)
		}
		begin := time.Now()
		require.NoError(t, c.Close())
		assert.Less(t, time.Since(begin), exitTime, "it ends when its input does")
		_, err := c.Read(t.Context())
		require.Error(t, err)
	})
	t.Run("dies", func(t *testing.T) {
		t.Parallel()
		_, err := dialChild(t, "dies").Read(t.Context())
		require.ErrorIs(t, err, io.EOF)
		require.ErrorContains(t, err, "no model")
	})
	t.Run("stays", func(t *testing.T) {
		t.Parallel()
		c := dialChild(t, "stays")
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Read(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		begin := time.Now()
		require.NoError(t, c.Close())
		assert.GreaterOrEqual(t, time.Since(begin), exitTime, "it was given time")
		assert.Less(t, time.Since(begin), 10*exitTime)
		p, ok := c.s.(*process)
		require.True(t, ok)
		assert.False(t, p.cmd.ProcessState.Exited(), "it was killed")
	})
	_, err := Dial(t.Context(), Address{Network: "stdio", Addr: "/no/such/program"}, Options{})
	require.ErrorContains(t, err, "start /no/such/program")
}

// TestConnTime: a peer that does nothing costs a bounded time, and a context ends it at once.
func TestConnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		c := NewConn(a, Options{ReadTime: time.Minute, WriteTime: time.Second})
		begin := time.Now()
		_, err := c.Read(t.Context())
		require.ErrorIs(t, err, ErrSilent)
		assert.Equal(t, time.Minute, time.Since(begin))
		begin = time.Now()
		require.ErrorIs(t, c.Write(t.Context(), Event{Type: "x"}), ErrStuck)
		assert.Equal(t, time.Second, time.Since(begin))
		require.NoError(t, c.Close())

		a, b2 := net.Pipe()
		defer b2.Close()
		c = NewConn(a, Options{})
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("gone")
		timer := time.AfterFunc(time.Hour, func() { cancel(gone) })
		defer timer.Stop()
		_, err = c.Read(ctx)
		require.ErrorIs(t, err, gone)
		require.ErrorIs(t, c.Write(ctx, Event{Type: "x"}), gone)
		require.NoError(t, c.Close())
	})
}

// serve runs a server at a socket until the test ends, or stop is called, which returns its error.
func serve(t *testing.T, s Server) (a Address, stop func() error) {
	t.Helper()
	a = Address{Network: "unix", Addr: filepath.Join(t.TempDir(), "s.sock")}
	l, err := Listen(a)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	var ended bool
	stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-served
	}
	t.Cleanup(func() { assert.NoError(t, stop()) })
	return a, stop
}

func dial(t *testing.T, a Address) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), a, Options{ReadTime: 10 * time.Second, WriteTime: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	return c
}

// ponger answers a ping, and does as other events say.
func ponger(ctx context.Context, c *Conn) error {
	for {
		ev, err := c.Read(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch ev.Type {
		case TypePing:
			err = c.Write(ctx, Event{Type: TypePong, Data: ev.Data})
		case "panic":
			panic("told to")
		case "fail":
			err = errors.New("told to")
		case "hang":
			<-ctx.Done()
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

func ping(t *testing.T, c *Conn) {
	t.Helper()
	require.NoError(t, c.Write(t.Context(), New(TypePing, Ping{Text: "x"})))
	got, err := c.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, New(TypePong, Ping{Text: "x"}), got)
}

// refused reads an error event, and the end.
func refused(t *testing.T, c *Conn, want string) {
	t.Helper()
	ev, err := c.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, TypeError, ev.Type)
	require.ErrorContains(t, ev.PeerError(), want)
	_, err = c.Read(t.Context())
	require.ErrorIs(t, err, io.EOF)
}

func TestServer(t *testing.T) {
	t.Parallel()
	a, stop := serve(t, Server{Handle: ponger, Connections: 2, Grace: 10 * time.Second, Log: zerolog.Nop(), Conn: Options{ReadTime: time.Minute, WriteTime: time.Minute}})
	one, two := dial(t, a), dial(t, a)
	ping(t, one)
	ping(t, two)
	refused(t, dial(t, a), "too many connections")
	require.NoError(t, one.Close())
	var three *Conn
	require.Eventually(t, func() bool { // there is room by and by
		three = dial(t, a)
		if three.Write(t.Context(), Event{Type: TypePing}) != nil {
			return false
		}
		ev, err := three.Read(t.Context())
		return err == nil && ev.Type == TypePong
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, three.Write(t.Context(), Event{Type: "fail"}))
	refused(t, three, "told to")
	_, err := Listen(a)
	require.ErrorContains(t, err, "somebody serves there")
	begin := time.Now()
	require.NoError(t, stop())
	assert.Less(t, time.Since(begin), 5*time.Second, "who waits for an event is not waited for")
	_, err = two.Read(t.Context())
	require.ErrorIs(t, err, io.EOF)
	_, err = os.Stat(a.Addr)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// TestServerGrace: what was asked for before the stop is answered.
func TestServerGrace(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	a, stop := serve(t, Server{Connections: 1, Grace: time.Minute, Handle: func(ctx context.Context, c *Conn) error {
		if _, err := c.Read(ctx); err != nil {
			return err
		}
		close(begun)
		select {
		case <-release:
		case <-ctx.Done():
		}
		if err := c.Write(ctx, Event{Type: TypePong}); err != nil {
			return err
		}
		_, err := c.Read(ctx)
		assert.ErrorIs(t, err, io.EOF, "no more is read")
		return nil
	}})
	c := dial(t, a)
	require.NoError(t, c.Write(t.Context(), Event{Type: TypePing}))
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	require.Eventually(t, func() bool { // new ones are not served any more
		n, err := net.Dial(a.Network, a.Addr)
		if err == nil {
			n.Close()
		}
		return err != nil
	}, 10*time.Second, time.Millisecond)
	close(release)
	ev, err := c.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, TypePong, ev.Type)
	require.NoError(t, <-stopped)
}

func TestServerFails(t *testing.T) {
	t.Parallel()
	a, stop := serve(t, Server{Handle: ponger, Connections: 9, Grace: 50 * time.Millisecond, Log: zerolog.Nop(), Conn: Options{ReadTime: 50 * time.Millisecond, WriteTime: time.Minute}})
	refused(t, dial(t, a), ErrSilent.Error())
	c := dial(t, a)
	_, err := io.WriteString(c.s, "GET / HTTP/1.1\r\n")
	require.NoError(t, err)
	refused(t, c, "read event: invalid character 'G'")
	c = dial(t, a)
	require.NoError(t, c.Write(t.Context(), Event{Type: "panic"}))
	_, err = c.Read(t.Context())
	require.ErrorIs(t, err, io.EOF)
	c = dial(t, a)
	require.NoError(t, c.Write(t.Context(), Event{Type: "hang"}))
	begin := time.Now()
	require.NoError(t, stop(), "who hangs is cut after the grace")
	assert.Less(t, time.Since(begin), 5*time.Second)
}

// TestErrorIsHeard: a peer that is still sending hears why it is not served any more.
func TestErrorIsHeard(t *testing.T) {
	t.Parallel()
	l, err := Listen(Address{Network: "tcp", Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	s := Server{Connections: 100, Handle: func(ctx context.Context, c *Conn) error {
		_, err := c.Read(ctx)
		return errors.Join(err, errors.New("no ear today"))
	}}
	go func() { served <- s.Serve(ctx, l) }()
	for range 20 {
		c, err := Dial(t.Context(), Address{Network: "tcp", Addr: l.Addr().String()}, Options{ReadTime: 10 * time.Second})
		require.NoError(t, err)
		for range 50 {
			if c.Write(t.Context(), Chunk(16000, make([]int16, 16000))) != nil {
				break
			}
		}
		ev, err := c.Read(t.Context())
		require.NoError(t, err)
		require.ErrorContains(t, ev.PeerError(), "no ear today")
		require.NoError(t, c.Close())
	}
	cancel()
	require.NoError(t, <-served)
}

// TestListenLeavesBusy: the socket of a server that has no room for one more stays.
func TestListenLeavesBusy(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "busy.sock")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer syscall.Close(fd)
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}))
	require.NoError(t, syscall.Listen(fd, 0))
	first, err := net.Dial("unix", path)
	require.NoError(t, err)
	defer first.Close()
	_, err = Listen(Address{Network: "unix", Addr: path})
	require.ErrorContains(t, err, "not certain that nobody serves there")
	require.FileExists(t, path)
}

func TestListen(t *testing.T) {
	t.Parallel()
	_, err := Listen(Address{Network: "stdio", Addr: "cat"})
	require.ErrorContains(t, err, "only tcp and unix")
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	_, err = Listen(Address{Network: "unix", Addr: file})
	require.Error(t, err, "what is no socket stays")
	require.FileExists(t, file)
	_, err = Listen(Address{Network: "unix", Addr: filepath.Join(dir, "no", "s.sock")})
	require.Error(t, err)

	stale := filepath.Join(dir, "stale")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())
	again, err := Listen(Address{Network: "unix", Addr: stale})
	require.NoError(t, err)
	i, err := os.Stat(stale)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o660), i.Mode().Perm())
	require.NoError(t, again.Close())

	tcp, err := Listen(Address{Network: "tcp", Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	s := Server{Handle: ponger, Connections: 1}
	require.NoError(t, tcp.Close())
	require.ErrorContains(t, s.Serve(t.Context(), tcp), "accept:")
}
