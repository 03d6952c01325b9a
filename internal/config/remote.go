package config

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Broker is the broker on another machine, or in another process, that the services of this
// process use instead of one inside it.
type Broker struct {
	URL          URL       `yaml:"url" shown:"the broker inside this process" doc:"Broker that the services use, such as mqtt://robot:1883, mqtts://robot:8883, ws://robot:5010/mqtt, wss:// or unix:///PATH. With it no broker runs here, nothing is listened at, and there is an HTTP port only if http.listen is set. A user and a password in it are percent-encoded; it is never shown with the password."`
	User         string    `yaml:"user" doc:"User name, if the URL has none."`
	Password     Secret    `yaml:"password" doc:"Password, if the URL has none. TARSD_BROKER_PASSWORD or password_file keep it out of files and command lines that others read."`
	PasswordFile string    `yaml:"password_file" doc:"File with the password in its first line."`
	TLS          BrokerTLS `yaml:"tls"`
}

// BrokerTLS is how that broker is known, and how we are known to it.
type BrokerTLS struct {
	CA         string `yaml:"ca" shown:"the system's" doc:"File of the authorities that may vouch for the broker (PEM)."`
	Cert       string `yaml:"cert" doc:"File of our certificate (PEM), for a broker that asks for one."`
	Key        string `yaml:"key" doc:"File of its private key (PEM)."`
	ServerName string `yaml:"server_name" shown:"the host of the URL" doc:"Name that the broker's certificate must hold."`
}

// Remote reports whether the broker is outside this process.
func (b Broker) Remote() bool { return !b.URL.IsZero() }

var (
	brokerSchemes = []string{"mqtt", "tcp", "mqtts", "tls", "ssl", "ws", "wss", "unix"}
	tlsSchemes    = []string{"mqtts", "tls", "ssl", "wss"}
)

// Username is the user name, of the URL or by itself; empty if there is none.
func (b Broker) Username() string {
	if b.User != "" {
		return b.User
	}
	return b.URL.parsed().User.Username()
}

func (b Broker) check(ps *Problems) {
	u := b.URL.parsed()
	secret := 0
	if _, ok := u.User.Password(); ok {
		secret++
	}
	if !b.Password.IsZero() {
		secret++
	}
	if b.PasswordFile != "" {
		secret++
	}
	switch {
	case !b.Remote() && (b.User != "" || secret > 0 || b.TLS != BrokerTLS{}):
		ps.add("broker.url", "", "must be set, since another key of broker is")
		return
	case !b.Remote():
		return
	}
	if err := checkURL(b.URL, brokerSchemes, "mqtt, mqtts, ws, wss, unix"); err != nil {
		ps.add("broker.url", "", "%s", err)
		return
	}
	switch {
	case secret > 1:
		ps.add("broker.password", "", "there are %d passwords: keep one of url, password and password_file", secret)
	case b.User != "" && u.User.Username() != "":
		ps.add("broker.user", "", "broker.url has a user too: keep one")
	case secret > 0 && b.User == "" && u.User.Username() == "":
		ps.add("broker.user", "", "must be set, since there is a password")
	}
	if (b.TLS.Cert == "") != (b.TLS.Key == "") {
		ps.add("broker.tls.cert", "", "cert and key belong together")
	}
	if b.TLS != (BrokerTLS{}) && !slices.Contains(tlsSchemes, u.Scheme) {
		ps.add("broker.tls", "", "has no effect with %s://; write mqtts:// or wss://", u.Scheme)
	}
}

// URL is the address of a broker or a collector. It may hold a password, so every way of printing
// it hides that; Reveal is the only way to it.
type URL struct{ raw string }

// Reveal returns the URL with its password.
func (u URL) Reveal() string { return u.raw }

// IsZero reports whether there is none.
func (u URL) IsZero() bool { return u.raw == "" }

func (u URL) parsed() *url.URL {
	p, err := url.Parse(u.raw)
	if err != nil {
		return &url.URL{} // it was parsed when it was set
	}
	return p
}

// String is the URL without its password.
func (u URL) String() string {
	p := u.parsed()
	if _, ok := p.User.Password(); ok {
		// Redacted would do, but for its xxxxx, which could be a password.
		return strings.Replace(p.Redacted(), ":xxxxx@", ":"+hidden+"@", 1)
	}
	return u.raw
}

// GoString implements fmt.GoStringer, so that %#v hides the password too.
func (u URL) GoString() string { return fmt.Sprintf("config.URL(%q)", u.String()) }

// MarshalText implements encoding.TextMarshaler.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. Its errors do not repeat the text, which may
// hold a password.
func (u *URL) UnmarshalText(b []byte) error {
	raw := strings.TrimSpace(string(b))
	if raw == "" {
		*u = URL{}
		return nil
	}
	p, err := url.Parse(raw)
	if err != nil || p.Scheme == "" || p.Opaque != "" {
		return errors.New("is not a URL such as mqtt://robot:1883 (in a user and a password, write @ as %40, / as %2F and % as %25)")
	}
	if pw, _ := p.User.Password(); pw == hidden {
		return errors.New("*** is what a hidden password looks like, not a password")
	}
	*u = URL{raw}
	return nil
}

// checkURL reports what is wrong with the form of u, besides its user.
func checkURL(u URL, schemes []string, hint string) error {
	p := u.parsed()
	switch {
	case !slices.Contains(schemes, p.Scheme):
		return fmt.Errorf("unknown scheme %s; known are %s", p.Scheme, hint)
	case p.RawQuery != "" || p.Fragment != "":
		return errors.New("has no ? and no # in it; in a user and a password they are written %3F and %23")
	case p.Scheme == "unix":
		if p.Host != "" || len(p.Path) < 2 {
			return errors.New("has no path; write unix:///run/tarsd.sock")
		}
		return nil
	case p.Hostname() == "":
		return errors.New("has no host")
	case p.Port() != "":
		return checkPort(u.String(), p.Port())
	}
	return nil
}
