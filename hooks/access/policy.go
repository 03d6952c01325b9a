package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

var _ delivery.Policy = (*Policy)(nil)

// Anonymous says which peers may connect without a user.
type Anonymous byte

// Who may connect without a user. Peers in this process always may.
const (
	Loopback Anonymous = iota // this machine: loopback and unix sockets
	Everyone                  // any address
	Nobody
)

// ParseAnonymous reads the configuration's access.anonymous: loopback, true or false.
func ParseAnonymous(text string) (Anonymous, error) {
	switch text {
	case "loopback":
		return Loopback, nil
	case "true":
		return Everyone, nil
	case "false":
		return Nobody, nil
	}
	return Nobody, fmt.Errorf("%q is not loopback, true or false", text)
}

// The reasons of refusals. A wrong password and an unknown user have the same.
const (
	ReasonCredentials = "bad_credentials" // wrong user name or password
	ReasonAnonymous   = "no_credentials"  // no user name where one is needed
	ReasonSlowed      = "login_slowed"    // too many failures before, too early for another try
	ReasonBusy        = "login_busy"      // too many logins at once
	ReasonClientID    = "client_id"       // the user may not use this client id
	ReasonCertificate = "certificate"     // no such user, or another user name was given with it
)

// What peers of this process are: the services, which meet on topics like everybody else. The
// name of those that give none cannot be anybody's user name, so that nobody else gets at their
// sessions.
const (
	memoryListener = "memory"
	memoryUser     = "$tarsd"
)

// Options configure New.
type Options struct {
	Users          *Users
	Roles          *Roles
	Anonymous      Anonymous
	LocalRoles     []string // of peers of this machine without a user; nil: admin
	AnonymousRoles []string // of other peers without a user, if Anonymous is Everyone; nil: service
	TLSUser        bool     // a verified client certificate's common name is the user
}

// Policy decides who may connect and what each may do. It implements delivery.Policy.
type Policy struct {
	users          *Users
	roles          *Roles
	anonymous      Anonymous
	localRoles     []string
	anonymousRoles []string
	memoryRoles    []string
	tlsUser        bool
	slow           *slowdown
}

// New checks the options and makes the policy. The error names the configuration's keys.
func New(o Options) (*Policy, error) {
	if o.LocalRoles == nil {
		o.LocalRoles = []string{RoleAdmin}
	}
	if o.AnonymousRoles == nil {
		o.AnonymousRoles = []string{RoleService}
	}
	var errs []error
	if err := o.Roles.Check(o.LocalRoles); err != nil {
		errs = append(errs, fmt.Errorf("access.local_roles: %w", err))
	}
	if err := o.Roles.Check(o.AnonymousRoles); err != nil {
		errs = append(errs, fmt.Errorf("access.anonymous_roles: %w", err))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Policy{
		users: o.Users, roles: o.Roles, anonymous: o.Anonymous, tlsUser: o.TLSUser, slow: newSlowdown(),
		localRoles: slices.Clone(o.LocalRoles), anonymousRoles: slices.Clone(o.AnonymousRoles),
		memoryRoles: []string{RoleService},
	}, nil
}

// Gate reports whether a connection from remote is worth accepting. Until there is a user nobody
// from another machine could get in, so that they are turned away before they cost anything.
func (p *Policy) Gate(remote net.Addr) bool {
	return p.anonymous == Everyone || p.users.Len() > 0 || here(remote)
}

// here reports whether an address is this machine's.
func here(remote net.Addr) bool {
	switch a := remote.(type) {
	case nil:
		return false
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	}
	if network := remote.Network(); strings.HasPrefix(network, "unix") || network == memoryListener {
		return true
	}
	at, err := netip.ParseAddrPort(remote.String())
	return err == nil && at.Addr().Unmap().IsLoopback()
}

// Notice returns what an owner has to know about who can connect, or "" if users decide that.
func (p *Policy) Notice() string {
	switch {
	case p.anonymous == Everyone:
		return "access.anonymous is true: every machine that reaches a listener can connect without a password"
	case p.users.Len() == 0:
		return "only this machine can connect until there is a user; add one with: tarsd passwd --role " + RoleDevice + " NAME"
	}
	return ""
}

// Authenticate decides whether a peer may connect and sets its user and roles. It takes up to 2 s
// after failed logins, and as long as others' passwords are computed before.
//
// Where peers may connect without a user, a user name that nobody has is not held against them:
// clients come with credentials of the broker before, and they could have left them out.
func (p *Policy) Authenticate(ctx context.Context, peer *delivery.Peer, username *string, password []byte) (wire.Code, string) {
	name := ""
	if username != nil {
		name = *username
	}
	if peer.Listener == memoryListener {
		peer.User, peer.Roles = name, p.memoryRoles
		if name == "" {
			peer.User = memoryUser
		}
		return wire.Success, ""
	}
	if p.tlsUser && peer.CN != "" {
		return p.certified(ctx, peer, name)
	}
	if name == "" && peer.SignedIn != nil {
		if user := peer.SignedIn(); user != "" {
			return p.signedIn(ctx, peer, user)
		}
	}
	peer.SignedIn = nil // it comes in without the session, and stays when that ends
	if name == "" || (p.users.lookup(name) == nil && p.mayBeAnonymous(peer)) {
		return p.unnamed(ctx, peer)
	}
	r, code, reason := p.login(ctx, peer.Host, peer.Local, name, password)
	if r == nil {
		return code, reason
	}
	return admit(peer, r)
}

// admit gives a peer the user's identity.
func admit(peer *delivery.Peer, r *record) (wire.Code, string) {
	if !r.mayUse(peer.ID) {
		return wire.ClientIDNotValid, ReasonClientID
	}
	peer.User, peer.Roles = r.name, r.roles
	return wire.Success, ""
}

// certified admits the user whom the certificate names. The certificate decides alone: a password
// is not looked at, another user name is an error.
func (p *Policy) certified(ctx context.Context, peer *delivery.Peer, name string) (wire.Code, string) {
	r := p.users.lookup(peer.CN)
	if r == nil || (name != "" && name != peer.CN) {
		return p.refuse(ctx, peer, peer.CN, ReasonCertificate)
	}
	return admit(peer, r)
}

// signedIn admits the user of a browser session, whose password was checked when it began.
func (p *Policy) signedIn(ctx context.Context, peer *delivery.Peer, user string) (wire.Code, string) {
	r := p.users.lookup(user)
	if r == nil {
		return p.refuse(ctx, peer, user, ReasonCredentials)
	}
	return admit(peer, r)
}

func (p *Policy) mayBeAnonymous(peer *delivery.Peer) bool {
	return p.anonymous == Everyone || (p.anonymous == Loopback && peer.Local)
}

func (p *Policy) unnamed(ctx context.Context, peer *delivery.Peer) (wire.Code, string) {
	if !p.mayBeAnonymous(peer) {
		return p.refuse(ctx, peer, "", ReasonAnonymous)
	}
	peer.User, peer.Roles = "", p.anonymousRoles
	if peer.Local {
		peer.Roles = p.localRoles
	}
	return wire.Success, ""
}

// refuse turns a peer away whose password was not looked at. It is paced like a wrong password:
// there are clients that try again in a tight loop.
func (p *Policy) refuse(ctx context.Context, peer *delivery.Peer, name, reason string) (wire.Code, string) {
	from := p.slow.from(peer.Host, peer.Local, name)
	if !p.slow.await(ctx, from, time.Now().Add(maxWait)) || !p.slow.claim(from) {
		return wire.ConnectionRateExceeded, ReasonSlowed
	}
	p.slow.failed(from)
	return wire.NotAuthorized, reason
}

// Login checks a user's password for somebody other than an MQTT client, such as the sign-in of
// the web page, under the same slow-down. host is the peer's IP address, local is as in
// delivery.Peer. It answers wire.Success, or the code and the reason of the refusal.
func (p *Policy) Login(ctx context.Context, host string, local bool, name string, password []byte) (User, wire.Code, string) {
	r, code, reason := p.login(ctx, host, local, name, password)
	if r == nil {
		return User{}, code, reason
	}
	return r.show(), wire.Success, ""
}

func (p *Policy) login(ctx context.Context, host string, local bool, name string, password []byte) (*record, wire.Code, string) {
	from := p.slow.from(host, local, name)
	deadline := time.Now().Add(maxWait)
	// The turn is taken when nothing has to be waited for any more. Taken earlier, all the guesses
	// of a burst would have it before the first of them has failed.
	var known *record
	for {
		if !p.slow.await(ctx, from, deadline) {
			return nil, wire.ConnectionRateExceeded, ReasonSlowed
		}
		if known = p.users.recall(name, password); known == nil {
			if err := p.users.hasher.acquire(ctx); err != nil {
				return nil, wire.ServerBusy, ReasonBusy
			}
		}
		if p.slow.claim(from) {
			break
		}
		if known == nil {
			p.users.hasher.release()
		}
	}
	if known != nil {
		p.slow.succeeded(from)
		return known, wire.Success, ""
	}
	defer p.users.hasher.release()
	r, err := p.users.verify(name, password)
	if err != nil {
		p.slow.failed(from)
		return nil, wire.BadUserNameOrPassword, ReasonCredentials
	}
	p.slow.succeeded(from)
	p.users.renew(ctx, r, password)
	return r, wire.Success, ""
}

// Current reports whether a peer's user is as it was when the peer was authenticated. It is false
// after any change of that user, so that a connection which was being made during the change does
// not outlive it: whoever registers a session asks once more afterwards.
func (p *Policy) Current(peer *delivery.Peer) bool {
	if peer.User == "" || peer.Listener == memoryListener {
		return true
	}
	r := p.users.lookup(peer.User)
	// Each change gives the record a list of roles of its own, so its address tells them apart.
	return r != nil && len(peer.Roles) > 0 && &r.roles[0] == &peer.Roles[0]
}

// MayPublish reports whether a peer may publish to a topic, as a message or as its will. Topics
// that start with $ are the broker's own.
func (p *Policy) MayPublish(peer *delivery.Peer, topic string) bool {
	if topic == "" || topic[0] == '$' || strings.ContainsAny(topic, "+#") || !p.Current(peer) {
		return false
	}
	return p.roles.allow(peer.Roles, names{client: peer.ID, user: peer.User}, publish, topic)
}

// MaySubscribe reports whether a peer may subscribe to everything that a filter can match. The
// filter comes without $share.
func (p *Policy) MaySubscribe(peer *delivery.Peer, filter string) bool {
	if !wire.ValidFilter(filter) || !p.Current(peer) {
		return false
	}
	return p.roles.allow(peer.Roles, names{client: peer.ID, user: peer.User}, subscribe, filter)
}
