package client_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// TLS is httptest's, in front of the broker: as a relay of bytes and as a reverse proxy.
func TestTLS(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	target, err := url.Parse("http" + strings.TrimPrefix(b.WebSocket(), "ws"))
	require.NoError(t, err)
	target.Path = ""
	web := httptest.NewTLSServer(httputil.NewSingleHostReverseProxy(target))
	t.Cleanup(web.Close)
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ln.Close() })
	go relay(ln, b)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())
	for name, where := range map[string]string{
		"tls": "tls://" + ln.Addr().String(),
		"wss": "wss" + strings.TrimPrefix(web.URL, "https") + "/mqtt",
	} {
		c := connect(t, client.Options{URL: where, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}, name)
		got := collect(t, c, contract.TTSSay)
		require.NoError(t, c.Ready(within(t)))
		for range 50 {
			_, err = client.Publish(within(t), c, contract.TTSSay, contract.Say{Text: strings.Repeat(name, 5000)})
			require.NoError(t, err)
		}
		for range 50 {
			assert.Len(t, next(t, got).Data.Text, 15000)
		}
		require.NoError(t, c.Close(within(t)))
	}
	c := connect(t, client.Options{URL: "tls://" + ln.Addr().String()}, "distrustful")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	require.ErrorContains(t, c.Await(ctx), "certificate")
}

// relay passes on what comes to ln. It ends with the listener and the connections.
func relay(ln net.Listener, b *brokertest.Broker) {
	for {
		in, err := ln.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", b.TCP())
		if err != nil {
			_ = in.Close()
			return
		}
		go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
		go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
	}
}

// A WebSocket that is none is an error that says so.
func TestNoWebSocket(t *testing.T) {
	t.Parallel()
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	c := connect(t, client.Options{URL: "ws" + strings.TrimPrefix(web.URL, "http") + "/mqtt"}, "x")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	require.ErrorContains(t, c.Await(ctx), "404")
}
