package audio

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jfreymuth/pulse/proto"
)

const (
	pulseTimeout = 5 * time.Second // of one request; longer than a full buffer takes to play
	pulseMaxSize = 1 << 20         // of one message from the server
)

// pulseConn is a connection to a sound server. The library's own client is not used: it has data
// races, ends the process when a server hangs up early, and a second is too short for a drain.
type pulseConn struct {
	conn net.Conn
	c    *proto.Client
	done chan struct{} // closed when the connection has ended, and the reader with it

	mu      sync.Mutex
	streams map[uint32]pulseStream
}

// pulseStream gets what the server tells about a stream, from the reader's goroutine.
type pulseStream interface {
	request(n int)       // the server wants n more bytes
	data(b []byte)       // recorded sound; b is reused
	killed(reason error) // the device is gone
}

// dialPulse connects to a server, such as unix:/run/user/1000/pulse/native or tcp:host:4713. With ""
// it is the one that PULSE_SERVER names or that runs for this user or machine.
func dialPulse(ctx context.Context, server string) (*pulseConn, error) {
	var errs []error
	for _, addr := range pulseServers(server) {
		p, err := dialPulseAt(ctx, addr)
		if err == nil {
			return p, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("%w: no sound server is known by %q", ErrNoDevice, server)
	}
	return nil, fmt.Errorf("%w: %w", ErrNoDevice, errs[0])
}

// pulseAddr is where a server listens.
type pulseAddr struct{ network, addr string }

// pulseServers lists where to look, in order.
func pulseServers(server string) []pulseAddr {
	if server == "" {
		server = os.Getenv("PULSE_SERVER")
	}
	if server == "" {
		for _, dir := range []string{os.Getenv("XDG_RUNTIME_DIR"), "/run/user/" + strconv.Itoa(os.Getuid())} {
			if dir != "" {
				server += " " + filepath.Join(dir, "pulse/native")
			}
		}
		server += " /run/pulse/native" // one for the whole machine
	}
	var list []pulseAddr
	for s := range strings.FieldsSeq(server) {
		if strings.HasPrefix(s, "{") { // {host}address: that of one machine
			_, s, _ = strings.Cut(s, "}")
		}
		network, addr, ok := strings.Cut(s, ":")
		switch {
		case strings.HasPrefix(s, "/"):
			list = append(list, pulseAddr{"unix", s})
		case ok && (network == "unix" || network == "tcp" || network == "tcp4" || network == "tcp6"):
			if _, _, err := net.SplitHostPort(addr); err != nil && network != "unix" {
				addr = net.JoinHostPort(addr, "4713")
			}
			list = append(list, pulseAddr{network, addr})
		}
	}
	return list
}

func dialPulseAt(ctx context.Context, at pulseAddr) (*pulseConn, error) {
	d := net.Dialer{Timeout: pulseTimeout}
	conn, err := d.DialContext(ctx, at.network, at.addr)
	if err != nil {
		return nil, err
	}
	p := &pulseConn{conn: conn, c: &proto.Client{}, done: make(chan struct{}), streams: map[uint32]pulseStream{}}
	p.c.Callback = p.event
	p.c.SetTimeout(pulseTimeout)
	p.c.Open(&pulseWire{conn: conn})
	var auth proto.AuthReply
	if err := p.c.Request(&proto.Auth{Version: p.c.Version(), Cookie: pulseCookie()}, &auth); err != nil {
		p.close()
		return nil, fmt.Errorf("%s: log in: %w", at.addr, err)
	}
	p.c.SetVersion(auth.Version)
	props := proto.PropList{
		"application.name":       proto.PropListString("tarsd"),
		"application.process.id": proto.PropListString(strconv.Itoa(os.Getpid())),
	}
	if err := p.c.Request(&proto.SetClientName{Props: props}, &proto.SetClientNameReply{}); err != nil {
		p.close()
		return nil, fmt.Errorf("%s: %w", at.addr, err)
	}
	return p, nil
}

// pulseCookie returns the secret of the server. One that lets everybody in takes any.
func pulseCookie() []byte {
	home := os.Getenv("HOME")
	for _, path := range []string{os.Getenv("PULSE_COOKIE"), home + "/.config/pulse/cookie", home + "/.pulse-cookie"} {
		if b, err := os.ReadFile(path); err == nil && len(b) == 256 {
			return b
		}
	}
	return make([]byte, 256)
}

// event is called by the library's reader.
func (p *pulseConn) event(m any) {
	switch m := m.(type) {
	case *proto.Request:
		p.with(m.StreamIndex, func(s pulseStream) { s.request(int(m.Length)) })
	case *proto.DataPacket:
		p.with(m.StreamIndex, func(s pulseStream) { s.data(m.Data) })
	case *proto.PlaybackStreamKilled:
		p.with(m.StreamIndex, func(s pulseStream) { s.killed(fmt.Errorf("%w: the speaker is gone", errLost)) })
	case *proto.RecordStreamKilled:
		p.with(m.StreamIndex, func(s pulseStream) { s.killed(fmt.Errorf("%w: the microphone is gone", errLost)) })
	case *proto.ConnectionClosed:
		p.conn.Close()
		p.mu.Lock()
		streams := p.streams
		p.streams = nil
		p.mu.Unlock()
		for _, s := range streams {
			s.killed(fmt.Errorf("%w: the sound server has closed the connection", errLost))
		}
		close(p.done)
	}
}

func (p *pulseConn) with(index uint32, f func(pulseStream)) {
	p.mu.Lock()
	s := p.streams[index]
	p.mu.Unlock()
	if s != nil {
		f(s)
	}
}

// join has events of a stream told to s.
func (p *pulseConn) join(index uint32, s pulseStream) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.streams == nil {
		return fmt.Errorf("%w: the sound server has closed the connection", errLost)
	}
	p.streams[index] = s
	return nil
}

// request asks the server; an answer that does not come, or an end of the connection, is errLost.
func (p *pulseConn) request(q proto.RequestArgs, r proto.Reply) error {
	err := p.c.Request(q, r)
	var refused proto.Error
	if err == nil || errors.As(err, &refused) && refused != proto.ErrConnectionTerminated {
		return err
	}
	return fmt.Errorf("%w: %w", errLost, err)
}

// close hangs up, which also ends all streams, and waits for the reader.
func (p *pulseConn) close() {
	p.conn.Close()
	<-p.done
}

// pulseWire stands between the connection and the library, which ignores errors when it writes,
// tells of no end but io.EOF, and believes any length.
type pulseWire struct {
	conn net.Conn
	head []byte // of the message that is being read, while incomplete
	left int    // bytes of it that come after the head
}

const pulseHead = 20 // length, channel, offset (8), flags

func (w *pulseWire) Read(b []byte) (int, error) {
	limit := w.left
	if limit == 0 {
		limit = pulseHead - len(w.head)
	}
	n, err := w.conn.Read(b[:min(limit, len(b))])
	if w.left > 0 {
		w.left -= n
	} else if w.head = append(w.head, b[:n]...); len(w.head) == pulseHead {
		size := binary.BigEndian.Uint32(w.head)
		w.head, w.left = w.head[:0], int(size)
		if size > pulseMaxSize {
			w.conn.Close()
			return 0, io.EOF
		}
	}
	if err != nil {
		err = io.EOF
	}
	return n, err
}

func (w *pulseWire) Write(b []byte) (int, error) {
	w.conn.SetWriteDeadline(time.Now().Add(pulseTimeout))
	n, err := w.conn.Write(b)
	if err != nil {
		w.conn.Close() // the reader tells
	}
	return n, err
}
