package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/storage"
)

// Verdict of one finding.
type Verdict string

// The verdicts. A Failure would stop tarsd, a Warning is worth a look.
const (
	Fine    Verdict = "ok"
	Warning Verdict = "warning"
	Failure Verdict = "FAILED"
)

// Finding is one thing that Check looked at.
type Finding struct {
	Verdict Verdict
	Text    string
}

// String is one line.
func (f Finding) String() string { return fmt.Sprintf("%-8s%s", f.Verdict, f.Text) }

// Failures counts what would stop tarsd.
func Failures(fs []Finding) int {
	n := 0
	for _, f := range fs {
		if f.Verdict == Failure {
			n++
		}
	}
	return n
}

// checker collects findings.
type checker struct {
	loaded *config.Loaded
	cfg    config.Config
	out    []Finding
}

func (c *checker) say(v Verdict, format string, args ...any) {
	c.out = append(c.out, Finding{v, fmt.Sprintf(format, args...)})
}

// Check says what would run with a configuration and what would be in the way. It changes
// nothing: ports are bound for a moment, unless a tarsd runs in the data directory.
func Check(ctx context.Context, l *config.Loaded) []Finding { return check(ctx, l, catalog()) }

func check(ctx context.Context, l *config.Loaded, all []service) []Finding {
	c := &checker{loaded: l, cfg: l.Config}
	if dir, err := filepath.Abs(c.cfg.DataDir); err == nil {
		c.cfg.DataDir = dir
	}
	from := "no file, defaults"
	if l.File != "" {
		from = l.File
	}
	c.say(Fine, "configuration: %s; %d keys are set", from, len(l.Origin))
	for _, u := range l.Unused {
		c.say(Warning, "%s is set and changes nothing: %s", u.Name, u.Why)
	}
	c.services(ctx, all)
	if c.cfg.Broker.Remote() {
		c.remote(all)
		return c.out
	}
	c.access()
	c.limits()
	c.tls()
	if running := c.running(ctx); !running {
		c.data()
		c.listeners()
	}
	return c.out
}

// running reports on the tarsd that runs in the data directory, if one does.
func (c *checker) running(ctx context.Context) bool {
	r, err := dialRemote(ctx, c.cfg.DataDir)
	if errors.Is(err, errNotRunning) {
		return false
	}
	if err != nil {
		c.say(Failure, "%s", err)
		return false
	}
	defer r.Close()
	s, err := r.status(ctx)
	if err != nil {
		c.say(Failure, "the tarsd that runs in %s: %s", c.cfg.DataDir, err)
		return true
	}
	v, why := Fine, ""
	if s.Reason != "" {
		v, why = Warning, ": "+s.Reason
	}
	c.say(v, "tarsd %s runs in %s (pid %d) since %s: %s%s", s.Version, c.cfg.DataDir, s.PID, s.Started.Local().Format(time.DateTime), s.Health, why)
	c.say(Fine, "it listens at %s", strings.Join(append(s.Listeners, s.HTTP), " "))
	for _, st := range s.Services {
		v, text := Fine, fmt.Sprintf("its service %s is %s since %s", st.Name, st.State, st.Since.Local().Format(time.DateTime))
		if st.Error != "" {
			v, text = Warning, text+": "+st.Error
		}
		c.say(v, "%s", text)
	}
	c.users(s.Users)
	return true
}

func (c *checker) access() {
	roles, err := access.NewRoles(c.cfg.Access.Roles)
	if err != nil {
		c.say(Failure, "%s", err)
		return
	}
	users, err := access.OpenUsers(access.UsersOptions{Roles: roles})
	if err == nil {
		_, err = newPolicy(c.cfg, users, roles)
	}
	if err != nil {
		c.say(Failure, "%s", err)
		return
	}
	c.say(Fine, "roles: %s", strings.Join(roles.Names(), ", "))
	if c.cfg.Access.Anonymous == config.AnonymousAll {
		c.say(Warning, "access.anonymous is true: every machine that reaches a listener can connect without a password")
	}
}

func (c *checker) limits() {
	if _, err := messageHooks(c.cfg); err != nil {
		c.say(Failure, "%s", err)
	}
	if _, err := newLimiter(c.cfg.Limits); err != nil {
		c.say(Failure, "%s", err)
	}
}

// users warns of the state in which nobody from outside can connect.
func (c *checker) users(n int) {
	switch {
	case n > 0:
		c.say(Fine, "users: %d", n)
	case c.cfg.Access.Anonymous != config.AnonymousAll:
		c.say(Warning, "there is no user: only this machine can connect; add one with: %s --role device NAME", passwdCommand(c.loaded))
	}
}

func (c *checker) tls() {
	t := c.cfg.TLS
	if t.Cert == "" {
		return
	}
	if _, err := broker.NewTLS(t.Cert, t.Key, t.ClientCA, t.RequireClientCert); err != nil {
		c.say(Failure, "%s", err)
		return
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		c.say(Failure, "tls: %s", err)
		return
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		c.say(Failure, "tls.cert %s: %s", t.Cert, err)
		return
	}
	left := time.Until(cert.NotAfter)
	v := Fine
	if left < 14*24*time.Hour {
		v = Warning
	}
	c.say(v, "tls.cert %s: for %s, until %s", t.Cert, strings.Join(append(cert.DNSNames, cert.Subject.CommonName), " "), cert.NotAfter.Local().Format(time.DateOnly))
}

// data looks at the data directory without making it.
func (c *checker) data() {
	dir := c.cfg.DataDir
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			c.say(Failure, "data directory %s: %s is not a directory", c.cfg.DataDir, dir)
			return
		}
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrNotExist) || dir == filepath.Dir(dir) {
			c.say(Failure, "data directory: %s", err)
			return
		}
		dir = filepath.Dir(dir) // it would be made
	}
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		c.say(Failure, "data directory %s: %s cannot be written: %s", c.cfg.DataDir, dir, err)
		return
	}
	if _, err := os.Stat(dataFile(c.cfg)); errors.Is(err, os.ErrNotExist) {
		c.say(Fine, "data directory %s: empty, tarsd would begin anew", c.cfg.DataDir)
		c.users(0)
		return
	}
	if err := storage.Verify(dataFile(c.cfg)); err != nil {
		c.say(Failure, "data file %s: %s; tarsd would move it aside and begin anew", dataFile(c.cfg), err)
		return
	}
	c.say(Fine, "data directory %s: the file verifies", c.cfg.DataDir)
	c.countUsers()
}

func (c *checker) countUsers() {
	db, err := openData(c.cfg, time.Second, zerolog.Nop())
	if err != nil {
		c.say(Failure, "%s", err)
		return
	}
	anyRoles := c.cfg
	anyRoles.Access.Roles = nil // they were looked at
	users, _, err := openUsers(anyRoles, db, access.UsersOptions{Log: zerolog.Nop()})
	if err = errors.Join(err, db.Close()); err != nil {
		c.say(Failure, "%s", err)
		return
	}
	c.users(users.Len())
}

// listeners binds each address for a moment. Unix sockets are not tried, since binding replaces
// the file.
func (c *checker) listeners() {
	for _, raw := range c.cfg.Listeners() {
		u, err := url.Parse(raw)
		if err != nil {
			c.say(Failure, "listen %s: %s", raw, err)
			continue
		}
		if u.Scheme == "unix" {
			c.say(Fine, "listen %s", raw)
			continue
		}
		c.bind(raw, u.Host)
	}
	if c.cfg.HTTPEnabled() {
		c.bind("http://"+c.cfg.HTTP.Listen, c.cfg.HTTP.Listen)
	}
}

func (c *checker) bind(what, address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		c.say(Failure, "%s", listenError(what, err))
		return
	}
	ln.Close()
	c.say(Fine, "listen %s", what)
}
