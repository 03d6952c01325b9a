package broker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// serverFunc is a Server.
type serverFunc func(nc net.Conn, info Info)

// Serve implements Server.
func (f serverFunc) Serve(nc net.Conn, info Info) { f(nc, info) }

// echo is a Server that gives back what it gets and remembers who came.
type echo struct{ infos chan Info }

func newEcho() *echo { return &echo{infos: make(chan Info, 100)} }

// Serve implements Server.
func (e *echo) Serve(nc net.Conn, info Info) {
	e.infos <- info
	_, _ = io.Copy(nc, nc)
	_ = nc.Close()
}

// testLog collects log lines.
type testLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *testLog) logger() zerolog.Logger { return zerolog.New(l) }

// listen starts a listener that ends with the test.
func listen(t *testing.T, url string, o ListenOptions, s Server) *Listener {
	t.Helper()
	l, err := Listen(url, o)
	require.NoError(t, err)
	l.Serve(s)
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		l.Wait()
		assert.Zero(t, l.caps.count())
		assert.Empty(t, l.early)
	})
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	nc, err := net.Dial(l.ln.Addr().Network(), l.ln.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc
}

// echoes sends something and expects it back.
func echoes(t *testing.T, c io.ReadWriter) {
	t.Helper()
	_, err := io.WriteString(c, "hello")
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	require.Equal(t, "hello", string(got))
}

// ended expects the other end to close without a word.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestListenTCP(t *testing.T) {
	t.Parallel()
	e := newEcho()
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{}, e)
	assert.Equal(t, "tcp://"+l.ln.Addr().String(), l.URL())
	nc := dial(t, l)
	echoes(t, nc)
	info := <-e.infos
	assert.Equal(t, l.URL(), info.Listener)
	assert.Equal(t, nc.LocalAddr().String(), info.Remote.String())
	assert.Equal(t, nc.RemoteAddr().String(), info.Local.String())
	assert.Nil(t, info.TLS)
	assert.False(t, info.Memory)
}

// The broker's raw reads and writes need the socket itself, with small delay and keep alive.
func TestListenTCPSocket(t *testing.T) {
	t.Parallel()
	type options struct{ nodelay, keepalive, idle int }
	got := make(chan options, 1)
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{}, serverFunc(func(nc net.Conn, _ Info) {
		defer func() { _ = nc.Close() }()
		var o options
		if tc, ok := nc.(*net.TCPConn); ok {
			raw, err := tc.SyscallConn()
			assert.NoError(t, err)
			assert.NoError(t, raw.Control(func(fd uintptr) {
				o.nodelay, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NODELAY)
				o.keepalive, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_KEEPALIVE)
				o.idle, _ = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_KEEPIDLE)
			}))
		}
		got <- o
	}))
	dial(t, l)
	assert.Equal(t, options{1, 1, 60}, <-got)
}

func TestListenErrors(t *testing.T) {
	t.Parallel()
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{}, newEcho())
	_, err := Listen(l.URL(), ListenOptions{})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	assert.EqualError(t, err, "listener "+l.URL()+": address already in use")
	_, err = Listen("tls://127.0.0.1:0", ListenOptions{})
	require.ErrorContains(t, err, "needs a certificate")
	_, err = Listen("tcp://192.0.2.1:0", ListenOptions{})
	require.ErrorIs(t, err, syscall.EADDRNOTAVAIL)
	_, err = Listen("nonsense", ListenOptions{})
	require.Error(t, err)
}

func TestListenAllow(t *testing.T) {
	t.Parallel()
	e := newEcho()
	var allow sync.Map
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{Allow: func(a net.Addr) bool {
		_, ok := a.(*net.TCPAddr)
		assert.True(t, ok)
		_, ok = allow.Load("open")
		return ok
	}}, e)
	ended(t, dial(t, l))
	allow.Store("open", true)
	echoes(t, dial(t, l))
	assert.Len(t, e.infos, 1)
}

// flaky is a listener whose Accept fails before it works.
type flaky struct {
	net.Listener
	errs  []error
	times []time.Time
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newFlaky(errs ...error) *flaky {
	return &flaky{errs: errs, conns: make(chan net.Conn), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (f *flaky) Accept() (net.Conn, error) {
	f.times = append(f.times, time.Now())
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
	}
	select {
	case nc := <-f.conns:
		return nc, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (f *flaky) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

// Addr implements net.Listener.
func (f *flaky) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// No error ends the accept loop; it waits longer and longer, and does not fill the log.
func TestAcceptSurvives(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		for range 10 {
			errs = append(errs, syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED, syscall.ENOBUFS, errors.New("odd"))
		}
		ln := newFlaky(errs...)
		log := &testLog{}
		l := newListener(address{scheme: "tcp"}, ln, ListenOptions{Log: log.logger()})
		l.Serve(newEcho())
		client, server := newPipe()
		ln.conns <- server
		echoes(t, client)
		require.NoError(t, client.Close())
		require.NoError(t, l.Close())
		l.Wait()
		assert.Equal(t, 5*time.Millisecond, ln.times[1].Sub(ln.times[0]))
		assert.Equal(t, 10*time.Millisecond, ln.times[2].Sub(ln.times[1]))
		assert.Equal(t, time.Second, ln.times[50].Sub(ln.times[49]))
		assert.Equal(t, 5, bytes.Count([]byte(log.String()), []byte("\n")), log.String())
		assert.Contains(t, log.String(), "too many open files")
	})
}

// Close ends a loop that waits after an error.
func TestAcceptCloseWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := newFlaky(syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
		l := newListener(address{scheme: "tcp"}, ln, ListenOptions{})
		start := time.Now()
		l.Serve(newEcho())
		<-time.After(7 * time.Millisecond)
		require.NoError(t, l.Close())
		l.Wait()
		assert.Equal(t, 7*time.Millisecond, time.Since(start))
	})
}

// A real shortage of file descriptors cannot be made without harm to other tests; what the
// kernel would say is above.

func TestListenCloseKeepsConnections(t *testing.T) {
	t.Parallel()
	l, err := Listen("tcp://127.0.0.1:0", ListenOptions{})
	require.NoError(t, err)
	l.Serve(newEcho())
	nc := dial(t, l)
	echoes(t, nc)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "twice")
	echoes(t, nc)
	_, err = net.Dial("tcp", l.ln.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	done := make(chan struct{})
	go func() { l.Wait(); close(done) }()
	select {
	case <-done:
		t.Fatal("Wait returned before the connection ended")
	default:
	}
	_ = nc.Close()
	<-done
}

// Connections that do not get through their handshake are bounded in number and time.
func TestGreetingLimits(t *testing.T) {
	t.Parallel()
	trust, err := NewProxyOptions([]string{"127.0.0.1"})
	require.NoError(t, err)
	e := newEcho()
	log := &testLog{}
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{Proxy: trust, Greeting: 1, HandshakeTimeout: 300 * time.Millisecond, Log: log.logger()}, e)
	start := time.Now()
	first := dial(t, l)
	require.Eventually(t, func() bool { return l.caps.count() == 1 }, 10*time.Second, time.Millisecond)
	ended(t, dial(t, l))
	assert.Contains(t, log.String(), refusedTotal)
	ended(t, first)
	assert.GreaterOrEqual(t, time.Since(start), 300*time.Millisecond)
	assert.Empty(t, e.infos)
}

// Close does not wait for handshakes that are under way.
func TestCloseEndsGreeting(t *testing.T) {
	t.Parallel()
	trust, err := NewProxyOptions([]string{"127.0.0.0/8"})
	require.NoError(t, err)
	for _, url := range []string{"tcp://127.0.0.1:0", "ws://127.0.0.1:0"} {
		l, err := Listen(url, ListenOptions{Proxy: trust, HandshakeTimeout: time.Hour})
		require.NoError(t, err)
		l.Serve(newEcho())
		dial(t, l)
		require.Eventually(t, func() bool { return l.caps.count() == 1 }, 10*time.Second, time.Millisecond)
		require.NoError(t, l.Close())
		l.Wait()
		assert.Zero(t, l.caps.count())
	}
}
