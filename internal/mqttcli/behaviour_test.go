package mqttcli

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/broker/brokertest"
)

var versions = []string{"5", "311", "31"}

// async runs a command and lets the test wait for its output and its end.
type async struct {
	out, err buffer
	end      chan int
	stop     context.CancelFunc
}

func start(t *testing.T, f func(context.Context, []string, Streams) int, in io.Reader, args ...string) *async {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a := &async{end: make(chan int, 1), stop: cancel}
	go func() {
		a.end <- f(ctx, args, Streams{In: in, Out: &a.out, Err: &a.err, Getenv: func(string) string { return "" }})
	}()
	t.Cleanup(cancel)
	return a
}

func (a *async) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-a.end:
		a.end <- code
		return code
	case <-time.After(30 * time.Second):
		t.Fatalf("the command does not end; it said %q and %q", a.out.String(), a.err.String())
		return -1
	}
}

func (a *async) said(t *testing.T, b *buffer, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(b.String(), text) }, 20*time.Second, 5*time.Millisecond,
		"%q was not said, but %q and %q", text, a.out.String(), a.err.String())
}

// proxy passes connections on to a unix socket, and cuts them when told.
type proxy struct {
	ln    net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, ln net.Listener, to string) *proxy {
	t.Helper()
	p := &proxy{ln: ln, to: to}
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go p.pass(nc)
		}
	}()
	t.Cleanup(func() { ln.Close(); p.cut() })
	return p
}

func (p *proxy) pass(nc net.Conn) {
	up, err := net.Dial("unix", p.to)
	if err != nil {
		nc.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, nc, up)
	p.mu.Unlock()
	go func() { _, _ = io.Copy(up, nc); up.Close(); nc.Close() }()
	_, _ = io.Copy(nc, up)
	nc.Close()
	up.Close()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

func listenTCP(t *testing.T) (net.Listener, []string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return ln, []string{"-h", "127.0.0.1", "-p", port}
}

// each runs a test on Mosquitto and on our own broker.
func each(t *testing.T, f func(t *testing.T, socket string)) {
	t.Run("mosquitto", func(t *testing.T) { f(t, mosquitto(t)) })
	t.Run("tarsd", func(t *testing.T) {
		dir, err := os.MkdirTemp("", "mq") // t.TempDir can be too long for a socket
		require.NoError(t, err)
		t.Cleanup(func() { os.RemoveAll(dir) })
		b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
		l, err := broker.Listen("unix://"+dir+"/s", broker.ListenOptions{Log: zerolog.Nop()})
		require.NoError(t, err)
		l.Serve(b.Broker)
		t.Cleanup(func() { l.Close() })
		f(t, dir+"/s")
	})
}

// With a kept session, -C 1 takes one message and leaves the others for the next run: the
// acknowledgement of the printed one has left, those of the others have not. (mosquitto_sub
// acknowledges and throws away what comes while it disconnects.)
func TestCountTakesExactlyThatMany(t *testing.T) { each(t, countTakesExactlyThatMany) }

func countTakesExactlyThatMany(t *testing.T, socket string) {
	for _, version := range versions {
		for _, qos := range []string{"1", "2"} {
			t.Run(version+"/"+qos, func(t *testing.T) {
				t.Parallel()
				id := "take" + version + qos
				sub := []string{"--unix", socket, "-V", version, "-t", id, "-c", "-i", id, "-q", qos}
				require.Zero(t, ours(t, Sub, "", append(sub, "-E")...).code)
				var lines, got strings.Builder
				for i := range 30 {
					lines.WriteString(string(rune('A'+i)) + "\n")
				}
				require.Zero(t, ours(t, Pub, lines.String(), "--unix", socket, "-V", version, "-t", id, "-q", qos, "-l").code)
				for range 10 {
					r := ours(t, Sub, "", append(sub, "-C", "3", "-W", "20")...)
					require.Zero(t, r.code, r.err)
					got.WriteString(r.out)
				}
				assert.Equal(t, lines.String(), got.String())
			})
		}
	}
}

func TestSubOptions(t *testing.T) { each(t, optionsOfSub) }

func optionsOfSub(t *testing.T, socket string) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			base := []string{"--unix", socket, "-V", version}
			with := func(args ...string) []string { return append(append([]string{}, base...), args...) }
			root := "opt" + version
			for _, name := range []string{"a", "b", "c/d"} {
				require.Zero(t, ours(t, Pub, "", with("-t", root+"/"+name, "-r", "-q", "1", "-m", name)...).code)
			}
			r := ours(t, Sub, "", with("-t", root+"/#", "-T", root+"/c/#", "-v", "-C", "2", "-W", "10")...)
			assert.Equal(t, result{0, root + "/a a\n" + root + "/b b\n", ""}, r)

			r = ours(t, Sub, "", with("-t", root+"/a", "-t", root+"/c/d", "-C", "2", "-W", "10")...)
			assert.Equal(t, "a\nc/d\n", r.out)

			live := start(t, Sub, nil, with("-t", root+"/a", "-R", "-C", "1", "-d")...)
			live.said(t, &live.err, "Subscribed")
			require.Zero(t, ours(t, Pub, "", with("-t", root+"/a", "-m", "fresh")...).code)
			assert.Zero(t, live.wait(t))
			assert.Equal(t, "fresh\n", live.out.String())

			only := start(t, Sub, nil, with("-t", root+"/#", "--retained-only", "-v", "-d")...)
			only.said(t, &only.err, "Subscribed")
			only.said(t, &only.out, "c/d")
			require.Zero(t, ours(t, Pub, "", with("-t", root+"/a", "-m", "fresh")...).code)
			assert.Zero(t, only.wait(t))
			assert.NotContains(t, only.out.String(), "fresh")

			r = ours(t, Sub, "", with("-t", root+"/#", "-T", root+"/b", "--remove-retained", "-R", "-W", "1")...)
			assert.Equal(t, result{27, "", "tarsd sub: timed out\n"}, r)
			r = ours(t, Sub, "", with("-t", root+"/#", "-W", "1", "--quiet")...)
			assert.Equal(t, result{27, "b\n", ""}, r)
		})
	}
}

func TestInterruptSaysGoodBye(t *testing.T) { each(t, interruptSaysGoodBye) }

func interruptSaysGoodBye(t *testing.T, socket string) {
	for _, version := range versions {
		base := []string{"--unix", socket, "-V", version}
		heir := start(t, Sub, nil, append(base, "-t", "will", "-C", "1", "-d")...)
		heir.said(t, &heir.err, "Subscribed")
		a := start(t, Sub, nil, append(base, "-t", "x", "-d", "--will-topic", "will", "--will-payload", "gone"+version, "--will-qos", "1")...)
		a.said(t, &a.err, "Subscribed")
		a.stop()
		assert.Zero(t, a.wait(t))
		assert.Contains(t, a.err.String(), "sending DISCONNECT")
		if version == "5" { // mosquitto_sub asks for its will there too
			assert.Zero(t, heir.wait(t))
			assert.Equal(t, "gone5\n", heir.out.String())
		}
	}
}

// A stream of lines survives the loss of connections; nothing is lost, and what comes twice comes
// next to itself.
func TestLinesSurviveACut(t *testing.T) { each(t, linesSurviveACut) }

func linesSurviveACut(t *testing.T, socket string) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ln, where := listenTCP(t)
			p := newProxy(t, ln, socket)
			topic := "cut" + version
			sub := start(t, Sub, nil, "--unix", socket, "-V", version, "-t", topic, "-q", "1", "-d")
			sub.said(t, &sub.err, "Subscribed")
			in, feed := io.Pipe()
			pub := start(t, Pub, in, append(where, "-V", version, "-t", topic, "-q", "1", "-l")...)
			for i := range 6 {
				_, err := io.WriteString(feed, "line "+string(rune('a'+i))+"\n")
				require.NoError(t, err)
				if i == 2 {
					sub.said(t, &sub.out, "line a")
					p.cut()
				}
			}
			feed.Close()
			require.Zero(t, pub.wait(t), pub.err.String())
			assert.Contains(t, pub.err.String(), "connecting again")
			sub.said(t, &sub.out, "line f")
			var seen []string
			for line := range strings.Lines(sub.out.String()) {
				if !contains(seen, line) {
					seen = append(seen, line)
				}
			}
			assert.Equal(t, "line a\nline b\nline c\nline d\nline e\nline f\n", strings.Join(seen, ""))
		})
	}
}

func contains(all []string, s string) bool {
	for _, x := range all {
		if x == s {
			return true
		}
	}
	return false
}

func TestSubConnectsAgain(t *testing.T) { each(t, subConnectsAgain) }

func subConnectsAgain(t *testing.T, socket string) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			ln, where := listenTCP(t)
			p := newProxy(t, ln, socket)
			sub := start(t, Sub, nil, append(where, "-V", version, "-t", "again"+version, "-C", "2", "-d")...)
			sub.said(t, &sub.err, "Subscribed")
			require.Zero(t, ours(t, Pub, "", "--unix", socket, "-t", "again"+version, "-m", "one").code)
			sub.said(t, &sub.out, "one")
			p.cut()
			require.Eventually(t, func() bool { return strings.Count(sub.err.String(), "Subscribed") == 2 }, 20*time.Second, 5*time.Millisecond)
			require.Zero(t, ours(t, Pub, "", "--unix", socket, "-t", "again"+version, "-m", "two").code)
			assert.Zero(t, sub.wait(t))
			assert.Equal(t, "one\ntwo\n", sub.out.String())
		})
	}
}

func TestTLS(t *testing.T) {
	socket := mosquitto(t)
	ca, config := certificate(t)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", config)
	require.NoError(t, err)
	newProxy(t, ln, socket)
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, version := range versions {
		message := []string{"-V", version, "-t", "tls", "-m", "x", "-q", "1"}
		r := ours(t, Pub, "", append([]string{"-L", "mqtts://localhost:" + port + "/ignored", "--cafile", ca}, message...)...)
		assert.Zero(t, r.code, r.err)
		r = ours(t, Pub, "", append([]string{"-p", port, "--cafile", ca}, message...)...)
		assert.Zero(t, r.code, r.err)
		r = ours(t, Pub, "", append([]string{"-h", "127.0.0.1", "-p", port, "--cafile", ca}, message...)...)
		assert.Equal(t, exitUsage, r.code, "the certificate is for localhost only")
		r = ours(t, Pub, "", append([]string{"-h", "127.0.0.1", "-p", port, "--cafile", ca, "--insecure"}, message...)...)
		assert.Zero(t, r.code, r.err)
		r = ours(t, Pub, "", append([]string{"-h", "127.0.0.1", "-p", port, "--insecure"}, message...)...)
		assert.Zero(t, r.code, r.err)
		r = ours(t, Pub, "", append([]string{"-p", port, "--tls-use-os-certs"}, message...)...)
		assert.Equal(t, exitUsage, r.code, "nobody vouches for it")
	}
	other, _ := certificate(t)
	r := ours(t, Pub, "", "-h", "127.0.0.1", "-p", port, "--cafile", other, "--insecure", "-t", "x", "-m", "y")
	assert.Equal(t, exitUsage, r.code, "--insecure with --cafile still checks the chain")
}

// certificate makes one for localhost and returns the file of its authority, which is itself.
func certificate(t *testing.T) (string, *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.crt")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return file, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestWebSocket(t *testing.T) {
	socket := mosquitto(t)
	up := websocket.Upgrader{Subprotocols: []string{"mqtt"}}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mqtt" {
			http.NotFound(w, r)
			return
		}
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		broker, err := net.Dial("unix", socket)
		if err != nil {
			return
		}
		defer broker.Close()
		go func() { _, _ = io.Copy(broker, &wsConn{ws: ws}); broker.Close() }()
		// One byte a message: packets and messages have nothing to do with each other.
		b := make([]byte, 1)
		for {
			if _, err := broker.Read(b); err != nil || ws.WriteMessage(websocket.BinaryMessage, b) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	where := "ws" + strings.TrimPrefix(s.URL, "http")
	for _, version := range versions {
		r := ours(t, Pub, "", "-L", where+"/mqtt", "-V", version, "-t", "ws", "-m", "over "+version, "-q", "2", "-r")
		assert.Zero(t, r.code, r.err)
		r = ours(t, Sub, "", "-L", where+"/mqtt", "-V", version, "-t", "ws", "-C", "1", "-q", "2", "-W", "10")
		assert.Equal(t, result{0, "over " + version + "\n", ""}, r)
	}
	r := ours(t, Sub, "", "-L", where+"/elsewhere", "-t", "ws")
	assert.Equal(t, exitUsage, r.code)
	assert.Contains(t, r.err, "404")
}
