package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/observe"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/web"
)

// With broker.url set this process is services only: no broker, no listeners, no users and no
// admin socket, and a data file only for a service that keeps something. The HTTP port has to be
// asked for, because the broker's process may be on the same machine and have it.

// connector says how services reach their broker: through memory, or at broker.url.
func (a *App) connector() (func(string, zerolog.Logger) (*client.Client, error), error) {
	o, err := a.clientOptions()
	if err != nil {
		return nil, err
	}
	if a.tracer != nil {
		o.Trace = a.tracer
	}
	return func(name string, log zerolog.Logger) (*client.Client, error) {
		o := o
		o.ID, o.Name, o.Log = "tars-"+name, name, log
		return client.Connect(context.Background(), o)
	}, nil
}

// clientOptions are those of every client of this process.
func (a *App) clientOptions() (client.Options, error) {
	if a.cfg.Broker.Remote() {
		return remoteOptions(a.cfg.Broker)
	}
	return client.Options{Dial: a.Dial}, nil
}

// remoteOptions reads the files that broker names: password, authorities, certificate.
func remoteOptions(b config.Broker) (client.Options, error) {
	o := client.Options{URL: b.URL.Reveal()}
	switch user := b.Username(); {
	case b.PasswordFile != "":
		if _, err := firstLine(b.PasswordFile); err != nil {
			return o, fmt.Errorf("broker.password_file: %w", err)
		}
		// It is read again for each attempt, since a changed password comes by the file.
		o.Credentials = func(context.Context) (string, client.Secret, error) {
			password, err := firstLine(b.PasswordFile)
			return user, client.Secret(password), err
		}
	case b.User != "" || !b.Password.IsZero():
		o.Credentials = func(context.Context) (string, client.Secret, error) {
			return user, client.Secret(b.Password.Reveal()), nil
		}
	}
	if b.TLS == (config.BrokerTLS{}) {
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: b.TLS.ServerName}
	if b.TLS.CA != "" {
		pem, err := os.ReadFile(b.TLS.CA)
		if err != nil {
			return o, fmt.Errorf("broker.tls.ca: %w", err)
		}
		o.TLS.RootCAs = x509.NewCertPool()
		if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
			return o, fmt.Errorf("broker.tls.ca: %s holds no certificate", b.TLS.CA)
		}
	}
	if b.TLS.Cert != "" {
		pair, err := tls.LoadX509KeyPair(b.TLS.Cert, b.TLS.Key)
		if err != nil {
			return o, fmt.Errorf("broker.tls.cert: %w", err)
		}
		o.TLS.Certificates = []tls.Certificate{pair}
	}
	return o, nil
}

// maxSecret bounds a password file, in bytes.
const maxSecret = 4096

func firstLine(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret))
	if err != nil {
		return "", err
	}
	b, _, _ = bytes.Cut(b, []byte("\n"))
	if b = bytes.TrimRight(b, "\r"); len(b) == 0 {
		return "", fmt.Errorf("%s: the first line is empty", name)
	}
	return string(b), nil
}

// needsStorage reports whether a chosen service keeps its state in the data file.
func needsStorage(all []service, c config.Config) bool {
	return slices.ContainsFunc(choose(all, c), func(s service) bool { return s.store })
}

func (a *App) openServiceStorage(ctx context.Context) error {
	if len(choose(a.o.available(), a.cfg)) == 0 {
		return errNoServices
	}
	if !needsStorage(a.o.available(), a.cfg) {
		return nil
	}
	return a.openStorage(ctx)
}

// bindServiceWeb serves health and metrics of a process without a broker, to this machine only
// unless access.anonymous is true, since there are no users here.
func (a *App) bindServiceWeb(context.Context) error {
	if !remoteHTTP(a.o.Config) {
		return nil
	}
	log := a.log.With().Str("part", "web").Logger()
	cam, err := a.webCamera(a.mayLookHere)
	if err != nil {
		return err
	}
	h, err := web.New(web.Options{
		Camera:  cam,
		Metrics: observe.NewMetrics(observe.MetricsOptions{Version: a.o.Version, Services: a.serviceFigures, Spans: a.spans(), Log: log}),
		Health: func() web.Health {
			h := web.Health{Status: web.OK, Since: a.started, Version: a.o.Version, Uptime: int64(time.Since(a.started).Seconds())}
			if h.Reason = a.failing(); h.Reason != "" {
				h.Status = web.Degraded
			}
			return h
		},
		Ready:          a.ready.Load,
		RemoteMetrics:  a.cfg.HTTP.RemoteMetrics,
		AllowedOrigins: a.cfg.HTTP.AllowedOrigins,
		Log:            log,
	})
	if err != nil {
		return fmt.Errorf("http.allowed_origins: %w", err)
	}
	allow := func(remote net.Addr) bool {
		tcp, ok := remote.(*net.TCPAddr)
		return a.cfg.Access.Anonymous == config.AnonymousAll || ok && tcp.IP.IsLoopback()
	}
	if err := a.listenWeb(h, web.ServerOptions{Allow: allow, Log: log}); err != nil {
		return err
	}
	a.stopCamera(cam)
	return nil
}

// remoteHTTP reports whether a process without a broker has an HTTP port.
func remoteHTTP(l *config.Loaded) bool {
	return l.HTTPEnabled() && l.Origin["http.listen"] != ""
}

// remote checks what a process without a broker needs.
func (c *checker) remote(all []service) {
	if len(choose(all, c.cfg)) == 0 {
		c.say(Failure, "%s", errNoServices)
	}
	if needsStorage(all, c.cfg) {
		c.data()
	}
	if remoteHTTP(c.loaded) {
		c.bind("http://"+c.cfg.HTTP.Listen, c.cfg.HTTP.Listen)
	}
}

var errNoServices = errors.New("broker.url is set and services is none: there is nothing to run")
