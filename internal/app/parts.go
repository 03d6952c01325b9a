package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks"
	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/limit"
	"github.com/tarsd/tarsd/hooks/observe"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/web"
)

// openUsers loads roles and users; store may be nil.
func openUsers(c config.Config, store access.Store, o access.UsersOptions) (*access.Users, *access.Roles, error) {
	roles, err := access.NewRoles(c.Access.Roles)
	if err != nil {
		return nil, nil, err
	}
	o.Store, o.Roles = store, roles
	users, err := access.OpenUsers(o)
	return users, roles, err
}

// newPolicy makes the policy of a configuration.
func newPolicy(c config.Config, users *access.Users, roles *access.Roles) (*access.Policy, error) {
	anonymous, err := access.ParseAnonymous(string(c.Access.Anonymous))
	if err != nil {
		return nil, fmt.Errorf("access.anonymous: %w", err)
	}
	return access.New(access.Options{
		Users: users, Roles: roles, Anonymous: anonymous, LocalRoles: c.Access.LocalRoles,
		AnonymousRoles: c.Access.AnonymousRoles, TLSUser: c.Access.TLSUser,
	})
}

func (a *App) openAccess(context.Context) error {
	users, roles, err := openUsers(a.cfg, a.db, access.UsersOptions{Log: a.log.With().Str("part", "access").Logger()})
	if err != nil {
		return err
	}
	a.users = users
	a.policy, err = newPolicy(a.cfg, users, roles)
	return err
}

// newLimiter makes the rate limits of a configuration.
func newLimiter(l config.Limits) (*limit.Hook, error) {
	o := limit.Options{Messages: float64(l.Rate.Messages), Bytes: float64(l.Rate.Bytes)}
	for _, t := range l.TopicRates {
		o.Topics = append(o.Topics, limit.TopicRate{Filter: t.Filter, Messages: float64(t.Messages), Bytes: float64(t.Bytes)})
	}
	return limit.New(o)
}

func deliveryLimits(l config.Limits) delivery.Limits {
	d := delivery.Limits{
		ReceiveMaximum:    l.ReceiveMaximum,
		Inflight:          l.Inflight,
		TopicAliasMaximum: l.TopicAliasMaximum,
		PacketBytes:       int(l.PacketBytes),
		MaxQoS:            l.MaxQoS,
		Retain:            l.Retain,
		RetainedMessages:  l.RetainedMessages,
		RetainedBytes:     int64(l.RetainedBytes),
		KeepAlive:         l.KeepAlive,
		QueueMessages:     l.QueueMessages,
		QueueBytes:        int64(l.QueueBytes),
		QueueTotalBytes:   int64(l.QueueTotalBytes),
		QueueAge:          time.Duration(l.QueueAge),
		SessionExpiry:     time.Duration(l.SessionExpiry),
		Sessions:          l.Sessions,
		Subscriptions:     l.Subscriptions,
		TopicLevels:       l.TopicLevels,
		TopicBytes:        l.TopicBytes,
	}
	switch l.QueuePolicy {
	case config.DropOldest:
		d.QueuePolicy = delivery.QueueDropOldest
	case config.Expire:
		d.QueuePolicy = delivery.QueueExpire
	case config.Refuse:
		d.QueuePolicy = delivery.QueueRefuse
	}
	return d
}

func (a *App) startEngine(context.Context) error {
	limiter, err := newLimiter(a.cfg.Limits)
	if err != nil {
		return err
	}
	more, err := messageHooks(a.cfg)
	if err != nil {
		return err
	}
	a.audit = observe.NewAudit(observe.AuditOptions{Log: a.log.With().Str("part", "audit").Logger()})
	o := delivery.Options{
		Limits: deliveryLimits(a.cfg.Limits),
		Policy: a.policy,
		Hooks:  hooks.Chain(limiter, more...),
		Events: a.audit.Event,
		Log:    a.log.With().Str("part", "delivery").Logger(),
	}
	if a.cfg.Durability != config.None {
		o.Store = a.db
	}
	if a.engine, err = delivery.New(o); err != nil {
		return fmt.Errorf("data directory %s: %w", a.cfg.DataDir, err)
	}
	a.onStop("engine", a.engine.Shutdown)
	a.users.OnChange(a.userChanged)
	return nil
}

// userChanged ends what a user has open: a changed password, role or binding holds at once. The
// sessions of a user that is gone end with it; those of a changed one wait for its next login.
func (a *App) userChanged(name string) {
	code, reason := wire.NotAuthorized, "user changed"
	if _, ok := a.users.Get(name); !ok {
		code, reason = wire.AdministrativeAction, "user deleted"
	}
	if a.sessions != nil {
		a.sessions.End(name)
	}
	n := a.engine.Kick(func(p *delivery.Peer) bool { return p.User == name }, code, reason)
	a.log.Info().Str("user", name).Int("disconnected", n).Msg(reason)
}

func (a *App) startBroker(context.Context) error {
	l := a.cfg.Limits
	ctx, cancel := context.WithCancel(context.Background()) // ends at the stop, not with the signal
	b, err := broker.New(broker.Options{
		Front: hooks.NewFront(ctx, a.engine, deliveryLimits(l)),
		Limits: broker.ConnLimits{
			ConnectTimeout: time.Duration(l.ConnectTimeout),
			WriteTimeout:   time.Duration(l.WriteTimeout),
			PreAuthBytes:   int(l.PreauthBytes),
			PacketBytes:    int(l.PacketBytes),
			BufferBytes:    int(l.BufferBytes),
			BufferTotal:    int(l.BufferTotalBytes),
			Connections:    l.Connections,
			PerAddress:     l.ConnectionsPerAddress,
		},
		// The stacks on which a connection was made are twice those on which it waits, and the
		// runtime takes them back only when it collects.
		Grown: debug.FreeOSMemory,
		Refused: func(i broker.Info, reason string) {
			a.audit.Event(delivery.Event{Time: time.Now(), Kind: "refused", Remote: i.Remote.String(), Listener: i.Listener, Reason: reason})
		},
		Log: a.log.With().Str("part", "broker").Logger(),
	})
	if err != nil {
		cancel()
		return err
	}
	a.broker = b
	a.memory = broker.NewMemory(b)
	a.sessions = web.NewSessions(web.SessionOptions{Who: a.who, SignIn: a.checkPassword, SignedOut: a.endSignedOut})
	a.ws = broker.NewWebSocket(b, broker.WebSocketOptions{
		AllowedOrigins:   a.cfg.HTTP.AllowedOrigins,
		Allow:            a.policy.Gate,
		SignedIn:         a.sessions.User,
		HandshakeTimeout: time.Duration(l.ConnectTimeout),
		Log:              a.log.With().Str("part", "broker").Logger(),
	})
	a.onStop("broker", func(ctx context.Context) error {
		cancel()
		a.memory.Close()
		a.ws.Close()
		err := b.Shutdown(ctx)
		return errors.Join(err, within(ctx, func() { a.memory.Wait(); a.ws.Wait() }))
	})
	return nil
}

func (a *App) startObservers(context.Context) error {
	sys := observe.NewSys(observe.SysOptions{Engine: a.engine, Version: a.o.Version, Expired: a.audit.Expired})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	a.wg.Go(func() { a.fail(sys.Run(ctx)) })
	a.wg.Go(func() { defer close(done); a.fail(a.audit.Run(ctx, a.engine)) })
	// They stop after the broker, so that the log tells of the last connections too.
	a.onStop("observers", func(stop context.Context) error {
		cancel()
		return within(stop, func() { <-done })
	})
	return nil
}

func (a *App) bindListeners(context.Context) error {
	o := broker.ListenOptions{
		Allow:            a.policy.Gate,
		HandshakeTimeout: time.Duration(a.cfg.Limits.ConnectTimeout),
		AllowedOrigins:   a.cfg.HTTP.AllowedOrigins,
		Log:              a.log.With().Str("part", "broker").Logger(),
	}
	if t := a.cfg.TLS; t.Cert != "" {
		var err error
		if o.TLS, err = broker.NewTLS(t.Cert, t.Key, t.ClientCA, t.RequireClientCert); err != nil {
			return err
		}
	}
	if a.cfg.ProxyProtocol.Enabled {
		var err error
		if o.Proxy, err = broker.NewProxyOptions(a.cfg.ProxyProtocol.Trusted); err != nil {
			return fmt.Errorf("proxy_protocol.trusted: %w", err)
		}
	}
	a.onStop("listeners", func(ctx context.Context) error {
		errs := make([]error, 0, len(a.listeners))
		for _, l := range a.listeners {
			errs = append(errs, l.Close())
		}
		return errors.Join(errs...)
	})
	for _, u := range a.cfg.Listeners() {
		l, err := broker.Listen(u, o)
		if err != nil {
			return listenError(u, err)
		}
		a.listeners = append(a.listeners, l)
	}
	return nil
}

func (a *App) bindWeb(context.Context) error {
	if !a.cfg.HTTPEnabled() {
		return nil
	}
	log := a.log.With().Str("part", "web").Logger()
	cam, err := a.webCamera(a.mayLook)
	if err != nil {
		return err
	}
	h, err := web.New(web.Options{
		WebSocket: a.ws,
		Session:   a.sessions,
		Overview:  http.HandlerFunc(a.webOverview),
		MCP:       a.mcpHandler(),
		Camera:    cam,
		Metrics: observe.NewMetrics(observe.MetricsOptions{
			Engine: a.engine, Version: a.o.Version, Storage: a.storageFigures, Connections: a.broker.Connections,
			AuditLost: a.audit.Lost, Services: a.serviceFigures, Spans: a.spans(), Peers: a.peerFigures, Log: log,
		}),
		Health:         a.health,
		Ready:          a.isReady,
		RemoteMetrics:  a.cfg.HTTP.RemoteMetrics,
		AllowedOrigins: a.cfg.HTTP.AllowedOrigins,
		Log:            log,
	})
	if err != nil {
		return fmt.Errorf("http.allowed_origins: %w", err)
	}
	if err := a.listenWeb(h, web.ServerOptions{Allow: a.policy.Gate, Log: log}); err != nil {
		return err
	}
	a.stopCamera(cam)
	return nil
}

func (a *App) listenWeb(h http.Handler, o web.ServerOptions) error {
	s, err := web.Listen(a.cfg.HTTP.Listen, h, o)
	if err != nil {
		return listenError("http.listen "+a.cfg.HTTP.Listen, err)
	}
	a.web = s
	a.onStop("web", func(ctx context.Context) error {
		short, cancel := a.timeout(ctx, stopPolite)
		defer cancel()
		if err := s.Shutdown(short); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		a.log.Debug().Msg("http requests cut")
		return nil
	})
	return nil
}

func (a *App) storageFigures() observe.Storage {
	s := a.db.State()
	return observe.Storage{
		Degraded: s.Degraded, Commits: s.Commits, Records: s.Records, Pending: s.Pending,
		LastCommit: s.LastCommit, FileBytes: s.FileBytes, Failures: s.Failures,
	}
}

// health is the verdict of /healthz. A damaged file that was moved aside stays in it until the
// next start: somebody has to look at it.
func (a *App) health() web.Health {
	s := a.db.State()
	h := web.Health{
		Status: web.OK, Since: a.started, Version: a.o.Version, Uptime: int64(time.Since(a.started).Seconds()),
		Clients: a.engine.Stats().ClientsConnected,
		Storage: web.Storage{Degraded: s.Degraded, Reason: s.Reason, Since: s.Since},
	}
	if moved := a.db.Moved(); moved != "" {
		h.Status, h.Reason = web.Degraded, "the data file was damaged and moved to "+moved
	}
	if text := a.failing(); text != "" {
		h.Status, h.Reason = web.Degraded, text
	}
	a.peerHealth(&h)
	if s.Degraded {
		h.Status, h.Reason, h.Since = web.Degraded, "storage: "+s.Reason, s.Since
	}
	return h
}

// announce says what an owner wants to know after a start.
func (a *App) announce() {
	e := a.log.Info().Str("version", a.o.Version)
	if a.cfg.Broker.Remote() {
		e = e.Stringer("broker", a.cfg.Broker.URL)
	} else {
		e = e.Str("data", a.cfg.DataDir).Strs("listen", a.Listeners())
	}
	e = e.Strs("services", a.names())
	if a.web != nil {
		e = e.Str("http", a.HTTP())
	}
	if a.o.Config.File != "" {
		e = e.Str("config", a.o.Config.File)
	}
	e.Dur("took", time.Since(a.started)).Msg("tarsd is ready")
	for _, u := range a.o.Config.Unused {
		a.log.Warn().Str("variable", u.Name).Str("why", u.Why).Msg("a variable of the replaced system changes nothing")
	}
	if a.cfg.Broker.Remote() {
		return
	}
	if moved := a.db.Moved(); moved != "" {
		a.log.Error().Str("moved_to", moved).Msg("the data file was damaged: it was moved aside and an empty one started")
	}
	if text := a.notice(); text != "" {
		a.log.Warn().Msg(text)
	}
}

// notice is the policy's remark on who can connect.
func (a *App) notice() string {
	return strings.ReplaceAll(a.policy.Notice(), "tarsd passwd", passwdCommand(a.o.Config))
}

// passwdCommand is the command with the flags that lead it to the same data directory.
func passwdCommand(l *config.Loaded) string {
	command := "tarsd passwd"
	if l.Origin["data_dir"] == "--data" {
		dir, err := filepath.Abs(l.DataDir)
		if err != nil {
			dir = l.DataDir
		}
		return command + " --data " + shellQuote(dir)
	}
	if l.File != "" && !slices.Contains(config.SearchPath(), l.File) {
		return command + " --config " + shellQuote(l.File)
	}
	return command
}

// shellQuote makes one word of a path.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+=:,@", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
