package mqttcli

import (
	"context"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A message of pub which nobody acknowledged is not reported as sent.
func TestPubReportsLoss(t *testing.T) {
	for _, version := range versions {
		connack := "\x20\x02\x00\x00"
		if version == "5" {
			connack = "\x20\x03\x00\x00\x00"
		}
		where := server1(t, connack, 2) // CONNECT and PUBLISH, then it hangs up
		r := ours(t, Pub, "", append(where, "-V", version, "-t", "x", "-m", "y", "-q", "1", "-i", "me")...)
		assert.Equal(t, exitLost, r.code)
		assert.Contains(t, r.err, "connection lost before the message was acknowledged")
	}
}

// server1 serves one connection at a time: it reads a packet, answers, reads packets up to the
// given number, and closes.
func server1(t *testing.T, answer string, packets int) []string {
	t.Helper()
	ln, where := listenTCP(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			n := 0
			var s splitter
			b := make([]byte, 1)
			for n < packets {
				if _, err := nc.Read(b); err != nil {
					break
				}
				s.feed(b, func(p *packet) {
					if p.kind == 12 {
						return
					}
					if n++; n == 1 {
						_, _ = io.WriteString(nc, answer)
					}
				})
			}
			nc.Close()
		}
	}()
	return where
}

// The exit code of a refusal is the code in the CONNACK.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name, version, connack string
		code                   int
		text                   string
	}{
		{"3.1.1 not authorized", "311", "\x20\x02\x00\x05", 5, "not authorized"},
		{"3.1.1 bad password", "311", "\x20\x02\x00\x04", 4, "bad user name or password"},
		{"3.1 bad id", "31", "\x20\x02\x00\x02", 2, "identifier rejected"},
		{"5 not authorized", "5", "\x20\x03\x00\x87\x00", 135, "not authorized"},
		{"5 with a reason", "5", "\x20\x08\x00\x8a\x05\x1f\x00\x02no", 138, "banned: no"},
		{"5 not known", "5", "\x20\x02\x00\x01", 132, "try -V mqttv311"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			where := server1(t, c.connack, 1)
			for name, r := range map[string]result{
				"pub": ours(t, Pub, "", append(where, "-V", c.version, "-t", "x", "-m", "y", "-i", "me")...),
				"sub": ours(t, Sub, "", append(where, "-V", c.version, "-t", "x", "-i", "me")...),
			} {
				assert.Equal(t, c.code, r.code, "%s: %s", name, r.err)
				assert.Contains(t, r.err, c.text, name)
			}
		})
	}
}

// Refusals inside a connection count too. (Mosquitto's clients end with 0 there.)
func TestRefusedMessagesAndSubscriptions(t *testing.T) {
	for _, c := range []struct {
		name    string
		f       func(context.Context, []string, Streams) int
		answers []string
		args    []string
		code    int
		text    string
	}{
		{"PUBACK", Pub, []string{"\x20\x03\x00\x00\x00", "\x40\x04\x00\x01\x87\x00"}, []string{"-m", "x", "-q", "1"}, 135, "not authorized"},
		{"PUBREC", Pub, []string{"\x20\x03\x00\x00\x00", "\x50\x04\x00\x01\x97\x00"}, []string{"-m", "x", "-q", "2"}, 151, "quota exceeded"},
		{"nobody listens", Pub, []string{"\x20\x03\x00\x00\x00", "\x40\x04\x00\x01\x10\x00"}, []string{"-m", "x", "-q", "1"}, 0, ""},
		{"no QoS 2 there", Pub, []string{"\x20\x05\x00\x00\x02\x24\x01"}, []string{"-m", "x", "-q", "2"}, 1, "maximum QoS is 1"},
		{"SUBACK", Sub, []string{"\x20\x03\x00\x00\x00", "\x90\x04\x00\x01\x00\x87"}, nil, 135, "all subscription requests were denied"},
		{"SUBACK of 3.1.1", Sub, []string{"\x20\x02\x00\x00", "\x90\x03\x00\x01\x80"}, []string{"-V", "311"}, 128, "all subscription requests were denied"},
		{"sent away", Sub, []string{"\x20\x03\x00\x00\x00", "\x90\x04\x00\x01\x00\x00\xe0\x02\x8e\x00"}, nil, 7, "session taken over"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ln, where := listenTCP(t)
			t.Cleanup(func() { ln.Close() })
			go script(ln, c.answers)
			r := ours(t, c.f, "", append(append(where, "-t", "x", "-i", "me"), c.args...)...)
			assert.Equal(t, c.code, r.code, r.err)
			assert.Contains(t, r.err, c.text)
		})
	}
}

// script answers one packet after the other on one connection and waits for the other end to go.
func script(ln net.Listener, answers []string) {
	nc, err := ln.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	var s splitter
	b := make([]byte, 1)
	for {
		if _, err := nc.Read(b); err != nil {
			return
		}
		s.feed(b, func(p *packet) {
			if p.kind == 12 { // paho.golang begins with a ping
				_, _ = io.WriteString(nc, "\xd0\x00")
			} else if len(answers) > 0 {
				_, _ = io.WriteString(nc, answers[0])
				answers = answers[1:]
			}
		})
	}
}

// Without -V an old server is spoken to in 3.1.1.
func TestFallsBackTo311(t *testing.T) {
	ln, where := listenTCP(t)
	t.Cleanup(func() { ln.Close() })
	go func() {
		script(ln, []string{"\x20\x02\x00\x01"})
		script(ln, []string{"\x20\x02\x00\x00", "\x40\x02\x00\x01"})
	}()
	done := make(chan result, 1)
	go func() { done <- ours(t, Pub, "", append(where, "-t", "x", "-m", "y", "-q", "1", "-d")...) }()
	r := <-done
	assert.Zero(t, r.code, r.err)
	assert.Contains(t, r.err, "received PUBACK (Mid: 1, RC:0)")
}

func TestCannotConnect(t *testing.T) {
	ln, where := listenTCP(t)
	ln.Close()
	r := ours(t, Pub, "", append(where, "-t", "x", "-m", "y")...)
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "connection refused")
	r = ours(t, Sub, "", "-L", "unix:///nonexistent/socket", "-t", "x")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "no such file or directory")
}

// The time of -W ends an attempt to connect too.
func TestTimeoutWhileConnecting(t *testing.T) {
	ln, where := listenTCP(t)
	t.Cleanup(func() { ln.Close() })
	for _, version := range versions { // the listener accepts in the kernel and never answers
		r := ours(t, Sub, "", append(where, "-V", version, "-t", "x", "-W", "1")...)
		assert.Equal(t, result{27, "", "tarsd sub: timed out\n"}, r)
	}
}
