package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// certificate makes a self-signed certificate for a name, its files and the pool that trusts it.
func certificate(t *testing.T, name string) (cert tls.Certificate, certFile, keyFile string, pool *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	certFile, keyFile = filepath.Join(t.TempDir(), name+".pem"), filepath.Join(t.TempDir(), name+".key")
	require.NoError(t, os.WriteFile(certFile, certPEM, 0o600))
	require.NoError(t, os.WriteFile(keyFile, keyPEM, 0o600))
	cert, err = tls.X509KeyPair(certPEM, keyPEM)
	require.NoError(t, err)
	pool = x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certPEM))
	return cert, certFile, keyFile, pool
}

// TestTLSUser logs in by certificate alone.
func TestTLSUser(t *testing.T) {
	t.Parallel()
	_, certFile, keyFile, roots := certificate(t, "localhost")
	client, clientFile, _, _ := certificate(t, "ann")
	l := load(t, t.TempDir(), "listen=tls://127.0.0.1:0", "tls.cert="+certFile, "tls.key="+keyFile,
		"tls.client_ca="+clientFile, "access.tls_user=true", "access.anonymous=false")
	a := begin(t, l)
	dial := func(certs ...tls.Certificate) net.Conn {
		nc, err := tls.Dial("tcp", strings.TrimPrefix(a.Listeners()[0], "tls://"),
			&tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certs})
		require.NoError(t, err)
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	assert.NotZero(t, connect(t, dial(client), "c", "", ""), "there is no such user")
	change(t, l, UserChange{Name: "ann", Roles: []string{"viewer"}})
	assert.Zero(t, connect(t, dial(client), "c", "", ""))
	assert.NotZero(t, connect(t, dial(), "c", "", ""), "no certificate")
	assert.NotZero(t, connect(t, dial(), "c", "ann", "guess"), "the user has no password")

	fs := Check(t.Context(), l)
	assert.Zero(t, Failures(fs), "%v", fs)
}
