package broker

import (
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
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := template("test authority")
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// issue makes a certificate and its key as PEM.
func (a *authority) issue(t *testing.T, name string) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template(name), a.cert, k.Public(), a.key)
	require.NoError(t, err)
	kder, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kder})
}

// client gives a configuration that trusts the authority and shows a certificate of it if
// name is not empty.
func (a *authority) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	c.RootCAs.AddCert(a.cert)
	if name != "" {
		pair, err := tls.X509KeyPair(a.issue(t, name))
		require.NoError(t, err)
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// certFiles are the files of a server.
type certFiles struct{ cert, key, ca string }

func newCertFiles(t *testing.T, a *authority) certFiles {
	t.Helper()
	dir := t.TempDir()
	f := certFiles{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "ca.pem")}
	f.write(t, a, "first")
	replaceFile(t, f.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}))
	return f
}

func (f certFiles) write(t *testing.T, a *authority, name string) {
	t.Helper()
	cert, key := a.issue(t, name)
	replaceFile(t, f.cert, cert)
	replaceFile(t, f.key, key)
}

// replaceFile replaces a file by rename, as certificate tools do.
func replaceFile(t *testing.T, name string, b []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(name+".new", b, 0o600))
	require.NoError(t, os.Rename(name+".new", name))
}

// dialTLS does a handshake and an echo.
func dialTLS(t *testing.T, l *Listener, c *tls.Config) (*tls.Conn, error) {
	t.Helper()
	nc := tls.Client(dial(t, l), c)
	if err := nc.Handshake(); err != nil {
		return nil, err
	}
	// In TLS 1.3 the server refuses a client certificate after the client's handshake.
	if _, err := nc.Write([]byte("x")); err != nil {
		return nil, err
	}
	if _, err := nc.Read(make([]byte, 1)); err != nil {
		return nil, err
	}
	return nc, nil
}

func TestListenTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := newCertFiles(t, a)
	ct, err := NewTLS(f.cert, f.key, "", false)
	require.NoError(t, err)
	e := newEcho()
	l := listen(t, "tls://127.0.0.1:0", ListenOptions{TLS: ct}, e)
	assert.True(t, strings.HasPrefix(l.URL(), "tls://127.0.0.1:"))

	nc, err := dialTLS(t, l, a.client(t, ""))
	require.NoError(t, err)
	assert.Empty(t, nc.ConnectionState().NegotiatedProtocol)
	info := <-e.infos
	require.NotNil(t, info.TLS)
	assert.True(t, info.TLS.HandshakeComplete)
	assert.Empty(t, info.TLS.PeerCertificates)
	require.NoError(t, nc.CloseWrite())
	ended(t, nc)

	c := a.client(t, "")
	c.NextProtos = []string{"mqtt"}
	nc, err = dialTLS(t, l, c)
	require.NoError(t, err)
	assert.Equal(t, "mqtt", nc.ConnectionState().NegotiatedProtocol)
	<-e.infos

	c.NextProtos = []string{"h2", "http/1.1"} // a browser that was tricked into talking to us
	_, err = dialTLS(t, l, c)
	require.Error(t, err)

	c = a.client(t, "")
	c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err = dialTLS(t, l, c)
	require.Error(t, err)

	nc2 := dial(t, l)
	_, err = nc2.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00")) // plain MQTT
	require.NoError(t, err)
	ended(t, nc2)
	assert.Empty(t, e.infos)
}

func TestTLSClientCertificates(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	cases := []struct {
		name    string
		require bool
		by      *authority
		want    bool
	}{
		{"required, shown", true, a, true},
		{"required, none", true, nil, false},
		{"required, of a stranger", true, stranger, false},
		{"optional, shown", false, a, true},
		{"optional, none", false, nil, true},
		{"optional, of a stranger", false, stranger, false},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f := newCertFiles(t, a)
			ct, err := NewTLS(f.cert, f.key, f.ca, tc.require)
			require.NoError(t, err)
			e := newEcho()
			l := listen(t, "tls://127.0.0.1:0", ListenOptions{TLS: ct}, e)
			c := a.client(t, "")
			if tc.by != nil {
				own := tc.by.client(t, "robot").Certificates[0]
				// Shown whoever the server says it trusts.
				c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }
			}
			_, err = dialTLS(t, l, c)
			if !tc.want {
				require.Error(t, err)
				assert.Empty(t, e.infos)
				return
			}
			require.NoError(t, err)
			info := <-e.infos
			if tc.by != nil {
				require.Len(t, info.TLS.VerifiedChains, 1)
				assert.Equal(t, "robot", info.TLS.PeerCertificates[0].Subject.CommonName)
			}
		})
	}
}

// serverName does a handshake and gives the name in the server's certificate.
func serverName(t *testing.T, l *Listener, c *tls.Config) string {
	t.Helper()
	nc, err := dialTLS(t, l, c)
	require.NoError(t, err)
	defer func() { _ = nc.Close() }()
	return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestTLSReload(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := newCertFiles(t, a)
	ct, err := NewTLS(f.cert, f.key, f.ca, true)
	require.NoError(t, err)
	log := &testLog{}
	l := listen(t, "tls://127.0.0.1:0", ListenOptions{TLS: ct, Log: log.logger()}, newEcho())
	due := func() { ct.mu.Lock(); ct.checked = time.Time{}; ct.mu.Unlock() } // as if a second had passed
	c := a.client(t, "robot")
	c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	assert.Equal(t, "first", serverName(t, l, c))

	f.write(t, a, "second")
	ct.mu.Lock()
	ct.checked = time.Now().Add(time.Hour)
	ct.mu.Unlock()
	assert.Equal(t, "first", serverName(t, l, c), "not looked at in each handshake")
	due()
	assert.Equal(t, "second", serverName(t, l, c))
	assert.Contains(t, log.String(), "certificate loaded")

	_, key := a.issue(t, "of another pair")
	replaceFile(t, f.key, key)
	for range 3 {
		due()
		assert.Equal(t, "second", serverName(t, l, c))
	}
	assert.Equal(t, 1, strings.Count(log.String(), "not usable"), log.String())
	require.NoError(t, os.Remove(f.key))
	for range 3 {
		due()
		assert.Equal(t, "second", serverName(t, l, c))
	}
	assert.Equal(t, 2, strings.Count(log.String(), "not usable"), log.String())

	f.write(t, a, "third")
	due()
	assert.Equal(t, "third", serverName(t, l, c))

	// A client CA that is no longer trusted does not come back with a session ticket.
	other := newAuthority(t)
	replaceFile(t, f.ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.cert.Raw}))
	due()
	_, err = dialTLS(t, l, c)
	require.Error(t, err)
}

func TestNewTLSErrors(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := newCertFiles(t, a)
	other := newCertFiles(t, a)
	junk := filepath.Join(t.TempDir(), "junk")
	require.NoError(t, os.WriteFile(junk, []byte("junk"), 0o600))
	cases := []struct {
		name, cert, key, ca string
		require             bool
		err                 string
	}{
		{"no file", "/nowhere", f.key, "", false, "no such file"},
		{"not PEM", junk, f.key, "", false, "failed to find any PEM data"},
		{"key of another", f.cert, other.key, "", false, "private key does not match"},
		{"no CA", f.cert, f.key, "/nowhere", false, "no such file"},
		{"CA not PEM", f.cert, f.key, junk, false, "no certificate in it"},
		{"required without CA", f.cert, f.key, "", true, "without a client CA"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewTLS(tc.cert, tc.key, tc.ca, tc.require)
			require.ErrorContains(t, err, tc.err)
		})
	}
}

func TestTLSHandshakeDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t)
		f := newCertFiles(t, a)
		ct, err := NewTLS(f.cert, f.key, "", false)
		require.NoError(t, err)
		ln := newFlaky()
		l := newListener(address{scheme: "tls"}, ln, ListenOptions{TLS: ct})
		l.Serve(newEcho())

		client, server := newPipe()
		ln.conns <- server
		_, err = client.Write([]byte{0x16, 3, 1}) // the start of a ClientHello
		require.NoError(t, err)
		start := time.Now()
		_, err = io.ReadAll(client)
		require.NoError(t, err)
		assert.Equal(t, defaultHandshake, time.Since(start))

		client, server = newPipe()
		ln.conns <- server
		tc := tls.Client(client, a.client(t, ""))
		echoes(t, tc)
		<-time.After(time.Hour)
		echoes(t, tc) // what is through has no deadline any more
		require.NoError(t, tc.Close())
		require.NoError(t, l.Close())
		l.Wait()
	})
}

// Close of a connection whose peer does not read ends soon.
func TestTLSCloseStuck(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := newCertFiles(t, a)
	ct, err := NewTLS(f.cert, f.key, "", false)
	require.NoError(t, err)
	took := make(chan time.Duration, 1)
	l := listen(t, "tls://127.0.0.1:0", ListenOptions{TLS: ct}, serverFunc(func(nc net.Conn, _ Info) {
		raw := nc.(tlsConn).NetConn()
		_ = raw.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
		for { // fill the socket under the library's feet, which has not failed then
			if _, err := raw.Write(make([]byte, 1<<20)); err != nil {
				break
			}
		}
		_ = raw.SetWriteDeadline(time.Time{})
		start := time.Now()
		_ = nc.Close()
		took <- time.Since(start)
	}))
	c := tls.Client(dial(t, l), a.client(t, ""))
	require.NoError(t, c.Handshake())
	assert.Less(t, <-took, 2*time.Second)
}

// TLS is under the PROXY header.
func TestTLSBehindProxy(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	f := newCertFiles(t, a)
	ct, err := NewTLS(f.cert, f.key, "", false)
	require.NoError(t, err)
	trust, err := NewProxyOptions([]string{"127.0.0.1"})
	require.NoError(t, err)
	e := newEcho()
	l := listen(t, "tls://127.0.0.1:0", ListenOptions{TLS: ct, Proxy: trust}, e)
	nc := dial(t, l)
	_, err = nc.Write(proxyFrom(t, "203.0.113.9:4711", "198.51.100.1:8883"))
	require.NoError(t, err)
	c := tls.Client(nc, a.client(t, ""))
	echoes(t, c)
	info := <-e.infos
	assert.Equal(t, "203.0.113.9:4711", info.Remote.String())
	assert.NotNil(t, info.TLS)
}
