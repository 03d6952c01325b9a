package broker

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"
)

// The contract of net.Conn, as its own project tests it.
func TestPipeIsConn(t *testing.T) {
	t.Parallel()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := newPipe()
		return a, b, func() { _, _ = a.Close(), b.Close() }, nil
	})
}

// Bytes of every size come out as they went in, also around the end of the buffer.
func TestPipeStream(t *testing.T) {
	t.Parallel()
	a, b := newPipe()
	want := make([]byte, 3<<20)
	rnd := rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(want)
	done := make(chan error, 1)
	go func() {
		r := rand.New(rnd)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+r.IntN(1<<r.IntN(18)))
			if _, err := a.Write(rest[:n]); err != nil {
				done <- err
				return
			}
			rest = rest[n:]
		}
		done <- a.CloseWrite()
	}()
	got, err := io.ReadAll(b)
	require.NoError(t, err)
	require.NoError(t, <-done)
	assert.True(t, bytes.Equal(want, got))
	assert.Nil(t, b.in.large, "the large buffer goes back when it is empty")
}

// Two ends that both write, with nobody reading, do not wait for each other.
func TestPipeBothWrite(t *testing.T) {
	t.Parallel()
	a, b := newPipe()
	full := make([]byte, ringLarge)
	for _, e := range []*pipeEnd{a, b} {
		n, err := e.Write(full)
		require.NoError(t, err)
		require.Equal(t, ringLarge, n)
	}
}

func TestPipeTryWritev(t *testing.T) {
	t.Parallel()
	a, b := newPipe()
	half := bytes.Repeat([]byte("x"), ringLarge/2)
	n, err := a.TryWritev([][]byte{half, half[:100], half})
	require.NoError(t, err)
	assert.Equal(t, ringLarge, n)
	n, err = a.TryWritev([][]byte{half})
	require.NoError(t, err)
	assert.Zero(t, n, "full is not an error")
	n, err = b.Read(make([]byte, 1000))
	require.NoError(t, err)
	assert.Equal(t, 1000, n)
	n, err = a.TryWritev([][]byte{half})
	require.NoError(t, err)
	assert.Equal(t, 1000, n)
	_ = b.Close()
	_, err = a.TryWritev([][]byte{half})
	assert.ErrorIs(t, err, io.ErrClosedPipe)
	_ = a.Close()
	_, err = a.TryWritev([][]byte{half})
	assert.ErrorIs(t, err, net.ErrClosed)
}

// A blocked Write does not block TryWritev, and its bytes stay in one piece.
func TestPipeTryWritevWhileWriting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		done := make(chan error, 1)
		go func() {
			_, err := a.Write(make([]byte, ringLarge+10))
			done <- err
		}()
		synctest.Wait()
		n, err := a.TryWritev([][]byte{[]byte("no")})
		require.NoError(t, err)
		assert.Zero(t, n)
		got := make([]byte, ringLarge+10)
		_, err = io.ReadFull(b, got)
		require.NoError(t, err)
		require.NoError(t, <-done)
		assert.Equal(t, make([]byte, ringLarge+10), got)
	})
}

// A small write goes on as soon as it fits, even if the reader then stops reading.
func TestPipeSmallWriteGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		_, err := a.Write(make([]byte, ringLarge))
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() {
			_, err := a.Write([]byte("0123456789"))
			done <- err
		}()
		synctest.Wait()
		_, err = b.Read(make([]byte, 10))
		require.NoError(t, err)
		require.NoError(t, <-done)
	})
}

func TestPipeReadReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		got := make([]byte, 8)
		called := false
		done := make(chan int, 1)
		go func() {
			n, err := b.ReadReady(func() []byte { called = true; return got })
			assert.NoError(t, err)
			done <- n
		}()
		synctest.Wait()
		assert.False(t, called, "no buffer while there is nothing to read")
		_, _ = a.Write([]byte("hello"))
		assert.Equal(t, 5, <-done)
		assert.Equal(t, "hello", string(got[:5]))
		require.NoError(t, b.SetReadDeadline(time.Now().Add(time.Second)))
		_, err := b.ReadReady(func() []byte { return got })
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

func TestPipeDeadlines(t *testing.T) {
	t.Parallel()
	full := make([]byte, ringLarge+1)
	read := func(a *pipeEnd) error { _, err := a.Read(make([]byte, 1)); return err }
	write := func(a *pipeEnd) error { _, err := a.Write(full); return err }
	cases := []struct {
		name string
		op   func(*pipeEnd) error
		set  func(*pipeEnd, time.Time) error
	}{
		{"read", read, (*pipeEnd).SetReadDeadline},
		{"write", write, (*pipeEnd).SetWriteDeadline},
		{"both, read", read, (*pipeEnd).SetDeadline},
		{"both, write", write, (*pipeEnd).SetDeadline},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a, _ := newPipe()
				start := time.Now()
				require.NoError(t, tc.set(a, start.Add(time.Minute)))
				err := tc.op(a)
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				var ne net.Error
				require.True(t, errors.As(err, &ne) && ne.Timeout())
				assert.Equal(t, time.Minute, time.Since(start))
				require.ErrorIs(t, tc.op(a), os.ErrDeadlineExceeded, "it stays expired")

				start = time.Now()
				require.NoError(t, tc.set(a, start.Add(time.Minute)))
				time.AfterFunc(30*time.Second, func() { _ = tc.set(a, start.Add(2*time.Minute)) })
				require.ErrorIs(t, tc.op(a), os.ErrDeadlineExceeded)
				assert.Equal(t, 2*time.Minute, time.Since(start), "it can be moved while somebody waits")

				require.NoError(t, tc.set(a, time.Time{}))
				time.AfterFunc(time.Hour, func() { _ = tc.set(a, time.Now()) })
				start = time.Now()
				require.ErrorIs(t, tc.op(a), os.ErrDeadlineExceeded)
				assert.Equal(t, time.Hour, time.Since(start), "none, then at once")
			})
		})
	}
}

func TestPipeClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		_, err := a.Write([]byte("last words"))
		require.NoError(t, err)
		require.NoError(t, a.CloseWrite())
		_, err = a.Write([]byte("x"))
		require.ErrorIs(t, err, net.ErrClosed)
		require.NoError(t, a.SetDeadline(time.Now().Add(time.Hour)), "a half closed end still has deadlines")
		got, err := io.ReadAll(b)
		require.NoError(t, err)
		assert.Equal(t, "last words", string(got))
		_, err = b.Write([]byte("bye"))
		require.NoError(t, err, "the other direction is still open")
		require.NoError(t, b.Close())
		got, err = io.ReadAll(a)
		require.NoError(t, err)
		assert.Equal(t, "bye", string(got))

		_, err = b.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorIs(t, b.SetReadDeadline(time.Now()), net.ErrClosed)
		require.NoError(t, a.Close())
		require.NoError(t, a.Close(), "twice")

		a, b = newPipe() // Close wakes those who wait
		errs := make(chan error, 2)
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 2*ringLarge)); errs <- err }()
		synctest.Wait()
		_ = b.Close()
		assert.ElementsMatch(t, []error{io.EOF, io.ErrClosedPipe}, []error{<-errs, <-errs})
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	var got Info
	m := NewMemory(serverFunc(func(nc net.Conn, info Info) {
		got = info
		_, _ = io.Copy(nc, nc)
		_ = nc.Close()
	}))
	c, err := m.Dial(t.Context())
	require.NoError(t, err)
	_, err = c.Write([]byte("hi"))
	require.NoError(t, err)
	p := make([]byte, 2)
	_, err = io.ReadFull(c, p)
	require.NoError(t, err)
	assert.Equal(t, "hi", string(p))
	assert.Equal(t, "memory", c.RemoteAddr().String())
	m.Close()
	_, err = m.Dial(t.Context())
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, c.Close())
	m.Wait()
	assert.Equal(t, Info{Listener: "memory", Remote: memoryAddr{}, Local: memoryAddr{}, Memory: true}, got)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Dial(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzRing compares one direction with a plain byte slice. Each operation is two bytes: what
// to do and how much.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0, 200, 1, 3, 0, 255, 0, 255, 2, 9, 1, 255, 3, 0, 1, 255})
	f.Add([]byte{2, 255, 1, 1, 2, 255, 1, 255, 4, 0, 2, 1})
	f.Fuzz(func(t *testing.T, ops []byte) {
		a, b := newPipe()
		var model []byte
		next := byte(0)
		eof, gone := false, false
		for ; len(ops) >= 2; ops = ops[2:] {
			size := int(ops[1]) * int(ops[1]) / 2
			switch ops[0] % 5 {
			case 0: // Write, of what fits, or it would wait
				p := pattern(&next, min(size, ringLarge-len(model)))
				n, err := a.Write(p)
				switch {
				case eof:
					require.ErrorIs(t, err, net.ErrClosed)
				case gone:
					require.ErrorIs(t, err, io.ErrClosedPipe)
				default:
					require.NoError(t, err)
					require.Equal(t, len(p), n)
					model = append(model, p...)
				}
			case 1: // Read
				p := make([]byte, size+1)
				if len(model) == 0 && !eof && !gone {
					continue // would wait
				}
				n, err := b.Read(p)
				switch {
				case gone:
					require.ErrorIs(t, err, net.ErrClosed)
				case len(model) == 0:
					require.ErrorIs(t, err, io.EOF)
				default:
					require.NoError(t, err)
					require.Equal(t, min(len(p), len(model)), n)
					require.True(t, bytes.Equal(model[:n], p[:n]))
					model = model[n:]
				}
			case 2: // TryWritev
				p := pattern(&next, size)
				n, err := a.TryWritev([][]byte{p[:size/3], p[size/3 : size/3], p[size/3:]})
				if eof || gone {
					require.Error(t, err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, min(size, ringLarge-len(model)), n)
				model = append(model, p[:n]...)
			case 3:
				require.NoError(t, a.CloseWrite())
				eof = true
			case 4:
				if ops[1] == 0 { // rarely: not much happens afterwards
					require.NoError(t, b.Close())
					gone, model = true, nil
				}
			}
			require.Equal(t, len(model), b.in.n)
		}
	})
}

// pattern makes bytes that tell when any is lost, doubled or moved.
func pattern(next *byte, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = *next
		if *next++; *next == 251 {
			*next = 0
		}
	}
	return p
}

func BenchmarkPipeRoundTrip(b *testing.B) {
	client, server := newPipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 256)
		for {
			n, err := server.Read(p)
			if err != nil {
				return
			}
			_, _ = server.Write(p[:n])
		}
	}()
	p, r := make([]byte, 128), make([]byte, 256)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = client.Write(p)
		_, _ = client.Read(r)
	}
	_ = client.Close()
	<-done
}

func BenchmarkPipeStream(b *testing.B) {
	client, server := newPipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p := make([]byte, 32<<10)
		for {
			if _, err := server.Read(p); err != nil {
				return
			}
		}
	}()
	p := make([]byte, 128)
	b.SetBytes(128)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = client.Write(p)
	}
	_ = client.Close()
	<-done
}
