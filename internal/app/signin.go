package app

import (
	"net"
	"net/http"
	"time"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/wire"
)

// signIn decides about an HTTP request as the broker decides about a client that connects, and then asks
// may. It answers 0 and who it is, or the status of the refusal. topic, which may be empty, is for the audit.
func (a *App) signIn(r *http.Request, topic string, may func(*delivery.Peer) bool) (status int, p *delivery.Peer) {
	p, ok := httpPeer(r)
	if !ok {
		return http.StatusBadRequest, nil
	}
	if a.sessions != nil {
		p.SignedIn = a.sessions.User(r)
	}
	user, password, given := r.BasicAuth()
	anonymous := a.cfg.Access.Anonymous == config.AnonymousAll || a.cfg.Access.Anonymous == config.AnonymousLoopback && p.Local
	if !given && !anonymous && (p.SignedIn == nil || p.SignedIn() == "") {
		return http.StatusUnauthorized, nil // browsers ask first without: it is no failed login
	}
	var name *string
	if given {
		name = &user
	}
	code, reason := a.policy.Authenticate(r.Context(), p, name, []byte(password))
	if code == wire.Success && !may(p) {
		code, reason = wire.NotAuthorized, "not_authorized"
	}
	if code == wire.Success {
		return 0, p
	}
	a.refused(p, user, reason, topic)
	switch {
	case reason == access.ReasonSlowed || reason == access.ReasonBusy:
		return http.StatusTooManyRequests, nil
	case !given || reason == access.ReasonCredentials || reason == access.ReasonAnonymous:
		return http.StatusUnauthorized, nil // a user may have the rights that everybody lacks
	}
	return http.StatusForbidden, nil
}

// httpPeer is who sent a request; false if a proxy names its client in a way we do not understand.
func httpPeer(r *http.Request) (*delivery.Peer, bool) {
	remote, ok := broker.Remote(r)
	if !ok {
		return nil, false
	}
	p := &delivery.Peer{Listener: "http", Remote: remote.String(), Host: remote.String(), Since: time.Now()}
	switch t := remote.(type) {
	case *net.TCPAddr:
		p.Host, p.Local = t.IP.String(), t.IP.IsLoopback()
	case *net.UnixAddr:
		p.Host, p.Local = "unix", true
	}
	return p, true
}

func (a *App) refused(p *delivery.Peer, user, reason, topic string) {
	a.audit.Event(delivery.Event{Time: time.Now(), Kind: "refused", Remote: p.Remote, User: user, Listener: p.Listener, Reason: reason, Topic: topic})
}
