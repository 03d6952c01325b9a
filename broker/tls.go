package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// tlsCheckEvery is how often handshakes look whether the files have changed.
const tlsCheckEvery = time.Second

// tlsCloseTime bounds the close_notify of a connection whose peer does not read; the library
// would wait for five seconds.
const tlsCloseTime = 200 * time.Millisecond

// TLS is a certificate that is loaded again when its files change.
type TLS struct {
	certFile, keyFile, caFile string
	require                   bool

	mu      sync.Mutex
	checked time.Time
	files   [3]os.FileInfo // as of the last load, successful or not
	config  *tls.Config    // for MQTT; NextProtos differs for WebSocket
	web     *tls.Config
}

// NewTLS loads a certificate with its key. clientCAFile, if not empty, holds the authorities of
// client certificates, which are then checked if a client has one; with requireClientCert it
// must have one. The files are PEM. It fails if any of them cannot be used.
func NewTLS(certFile, keyFile, clientCAFile string, requireClientCert bool) (*TLS, error) {
	if requireClientCert && clientCAFile == "" {
		return nil, errors.New("tls: client certificates cannot be required without a client CA")
	}
	t := &TLS{certFile: certFile, keyFile: keyFile, caFile: clientCAFile, require: requireClientCert}
	t.files, t.checked = t.stat(), time.Now()
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// current is the configuration for the next handshake. A pair that has changed but cannot be
// used is logged once and the old one stays.
func (t *TLS) current(web bool, log zerolog.Logger) *tls.Config {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now := time.Now(); now.Sub(t.checked) >= tlsCheckEvery {
		t.checked = now
		t.reload(log)
	}
	if web {
		return t.web
	}
	return t.config
}

// reload loads the files if they are not those of the last load. mu is held.
func (t *TLS) reload(log zerolog.Logger) {
	files := t.stat()
	if sameFiles(files, t.files) {
		return
	}
	t.files = files
	if err := t.load(); err != nil {
		log.Error().Err(err).Msg("changed certificate not usable, the old one stays")
		return
	}
	log.Info().Str("cert", t.certFile).Time("expires", t.config.Certificates[0].Leaf.NotAfter).Msg("certificate loaded")
}

// load replaces the configurations, or nothing. They are new ones, so that session tickets of
// the old certificate and the old client CA do not resume.
func (t *TLS) load() error {
	cert, err := tls.LoadX509KeyPair(t.certFile, t.keyFile)
	if err != nil {
		return fmt.Errorf("tls: certificate %s with key %s: %w", t.certFile, t.keyFile, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"mqtt"},
	}
	if t.caFile != "" {
		pem, err := os.ReadFile(t.caFile)
		if err != nil {
			return fmt.Errorf("tls: client CA: %w", err)
		}
		c.ClientCAs = x509.NewCertPool()
		if !c.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls: client CA %s: no certificate in it", t.caFile)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven
		if t.require {
			c.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	t.config, t.web = c, c.Clone()
	t.web.NextProtos = []string{"http/1.1"}
	return nil
}

// stat describes the files; nil for one that is missing.
func (t *TLS) stat() (files [3]os.FileInfo) {
	for i, name := range []string{t.certFile, t.keyFile, t.caFile} {
		if name != "" {
			files[i], _ = os.Stat(name) // load gives the error
		}
	}
	return files
}

func sameFiles(a, b [3]os.FileInfo) bool {
	for i := range a {
		switch {
		case a[i] == nil && b[i] == nil:
		case a[i] == nil || b[i] == nil:
			return false
		case !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size():
			return false
		}
	}
	return true
}

// handshake makes a TLS connection of nc. nc's deadline bounds it.
func (t *TLS) handshake(nc net.Conn, web bool, log zerolog.Logger) (*tls.Conn, error) {
	c := tls.Server(nc, t.current(web, log))
	if err := c.HandshakeContext(context.Background()); err != nil {
		return nil, fmt.Errorf("tls handshake: %w", err)
	}
	return c, nil
}

// tlsConn is a TLS connection whose Close does not wait long.
type tlsConn struct{ *tls.Conn }

// Close implements net.Conn.
func (c tlsConn) Close() error {
	t := time.AfterFunc(tlsCloseTime, func() { _ = c.NetConn().Close() })
	defer t.Stop()
	return c.Conn.Close()
}
