package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

func TestInspectArgs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"--inspect":                          "inspect",
		"--inspect mqtt://x":                 "inspect mqtt://x",
		"--inspect=mqtt://x --json":          "inspect mqtt://x --json",
		"--data d --inspect -n 3":            "inspect --data d -n 3",
		"--data d --inspect mqtt://x -n 3":   "inspect --data d mqtt://x -n 3",
		"--data d --inspect=mqtt://x --json": "inspect --data d mqtt://x --json",
		"run --data d":                       "run --data d",
		"--data d":                           "--data d",
		"pub -m --inspect":                   "pub -m --inspect",
		"":                                   "",
	} {
		assert.Equal(t, strings.Fields(want), strings.Fields(strings.Join(inspectArgs(strings.Fields(in)), " ")), in)
	}
}

// onlyMe lets in one user with one password.
type onlyMe struct{ brokertest.AllowAll }

func (onlyMe) Authenticate(_ context.Context, _ *delivery.Peer, user *string, password []byte) (wire.Code, string) {
	if user != nil && *user == "me" && string(password) == "secret" {
		return wire.Success, ""
	}
	return wire.BadUserNameOrPassword, "bad user name or password"
}

// secure puts TLS in front of a broker, and returns its port and the file of its authority.
func secure(t *testing.T, b *brokertest.Broker) (port, ca string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"robot.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	require.NoError(t, err)
	var all sync.WaitGroup
	t.Cleanup(func() {
		assert.NoError(t, l.Close())
		all.Wait()
	})
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer nc.Close()
				to, err := net.Dial("tcp", b.TCP())
				if err != nil {
					return
				}
				defer to.Close()
				all.Go(func() { _, _ = io.Copy(nc, to) })
				_, _ = io.Copy(to, nc)
			})
		}
	})
	_, port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(t, err)
	return port, ca
}

// The broker elsewhere that the configuration names is reached as the configuration says.
func TestInspectOverTLS(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	b.Engine.Publish("hello", []byte("x"), 0, true)
	port, ca := secure(t, b)
	inspect := func(args ...string) (string, string, error) {
		var out, errs bytes.Buffer
		args = append([]string{"--inspect", "--data", t.TempDir(), "--set", "services=tts", "--set", "broker.url=mqtts://127.0.0.1:" + port, "-n", "1", "--timeout", "20s"}, args...)
		err := run(t.Context(), args, stdio{Out: &out, Err: &errs})
		return out.String(), errs.String(), err
	}
	_, said, err := inspect()
	require.Error(t, err)
	assert.Contains(t, said, "certificate")
	for _, args := range [][]string{
		{"--set", "broker.tls.ca=" + ca, "--set", "broker.tls.server_name=robot.test"},
		{"--cafile", ca, "--set", "broker.tls.server_name=robot.test"},
	} {
		out, said, err := inspect(args...)
		require.NoError(t, err, said)
		assert.Contains(t, out, `"topic":"hello"`)
	}
}

// few lets read what a viewer may.
type few struct{ brokertest.AllowAll }

func (few) MaySubscribe(_ *delivery.Peer, filter string) bool {
	return filter == "#" || filter == "$SYS/broker/#"
}

func TestInspectPrintsWhatItMay(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithPolicy(few{}))
	b.Engine.Publish("$SYS/broker/version", []byte("x"), 0, true)
	var out, errs bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"--inspect", "mqtt://" + b.TCP(), "-n", "1", "--timeout", "20s"}, stdio{Out: &out, Err: &errs}))
	assert.Contains(t, out.String(), `"topic":"$SYS/broker/version"`)
	assert.Contains(t, errs.String(), `"$SYS/tarsd/#" refused`)
}

func TestInspectLogsIn(t *testing.T) { // sets the environment
	b := brokertest.Start(t, brokertest.WithPolicy(onlyMe{}))
	b.Engine.Publish("hello", []byte("x"), 0, true)
	inspect := func(args ...string) (string, string, error) {
		var out, errs bytes.Buffer
		err := run(t.Context(), append([]string{"--inspect"}, args...), stdio{Out: &out, Err: &errs})
		return out.String(), errs.String(), err
	}
	url := "mqtt://" + b.TCP()
	t.Setenv("TARSD_PASSWORD", "wrong")
	_, said, err := inspect(url, "-u", "me", "-n", "1")
	require.Error(t, err)
	assert.Contains(t, said, "bad user name or password")
	t.Setenv("TARSD_PASSWORD", "secret")
	out, _, err := inspect(url, "-u", "me", "-n", "1")
	require.NoError(t, err)
	assert.Contains(t, out, `"topic":"hello"`)
	_, _, err = inspect("mqtt://me:secret@"+b.TCP(), "-n", "1")
	require.NoError(t, err)
	_, _, err = inspect(url, "-n", "1")
	require.Error(t, err)
}
