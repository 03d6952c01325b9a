package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/inspect"
	inspectfeed "github.com/tarsd/tarsd/internal/inspect/feed"
	"github.com/tarsd/tarsd/services/client"
)

// maxListed bounds the sessions that the admin socket lists.
const maxListed = 5000

// adminClients lists sessions.
func (a *App) adminClients(w http.ResponseWriter, _ *http.Request) {
	all := a.engine.Clients()
	out := inspect.Clients{Clients: make([]inspect.Client, 0, min(len(all), maxListed)), More: max(len(all)-maxListed, 0)}
	for i := range all[:min(len(all), maxListed)] {
		out.Clients = append(out.Clients, inspected(&all[i]))
	}
	answer(w, out)
}

func inspected(c *delivery.ClientInfo) inspect.Client {
	out := inspect.Client{
		ID: c.ID, User: c.User, Remote: c.Remote, Listener: c.Listener, Version: c.Version, Connected: c.Connected, Since: c.Since,
		Subscriptions: len(c.Subscriptions), Queued: c.Queued, Inflight: c.Inflight, QueuedBytes: c.QueuedBytes,
		BufferedBytes: c.BufferedBytes, Received: c.PublishReceived, Sent: c.PublishSent, LastPacket: c.LastPacket,
	}
	for reason, n := range c.Dropped {
		if reason != dedup.Reason { // a repeat was delivered once
			out.Dropped += n
		}
	}
	return out
}

// adminRetained tells who left the retained message of a topic.
func (a *App) adminRetained(w http.ResponseWriter, r *http.Request) {
	topic := r.URL.Query().Get("topic")
	if topic == "" || strings.ContainsAny(topic, "+#") {
		refuse(w, http.StatusBadRequest, errors.New("topic: must be one topic"))
		return
	}
	var k inspectfeed.Keeper
	a.engine.EachRetained(topic, func(m delivery.Sight) bool {
		k = inspectfeed.Keeper{Topic: m.Topic, From: m.From, At: m.At}
		return false
	})
	answer(w, k)
}

// Inspect is how an inspector reaches the tarsd of a configuration: as a client of its broker, and by
// its admin socket.
type Inspect struct {
	Client client.Options    // where, and as whom
	Admin  inspectfeed.Admin // nil: the broker is elsewhere
	r      *remote
}

// Close lets the admin socket go.
func (i *Inspect) Close() error {
	if i.r == nil {
		return nil
	}
	return i.r.Close()
}

// FindInspect finds the tarsd that runs in the data directory, or the broker elsewhere that the
// configuration names. The error wraps ErrNotRunning if there is neither.
func FindInspect(ctx context.Context, c config.Config) (*Inspect, error) {
	r, err := dialRemote(ctx, c.DataDir)
	if errors.Is(err, errNotRunning) {
		if c.Broker.Remote() {
			o, err := remoteOptions(c.Broker)
			return &Inspect{Client: o}, err
		}
		return nil, fmt.Errorf("%w: %s (for a broker elsewhere give its URL)", err, c.DataDir)
	}
	if err != nil {
		return nil, err
	}
	s, err := r.status(ctx)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	where := nearest(s.Listeners)
	if where == "" {
		return nil, errors.Join(fmt.Errorf("the running tarsd listens on %s only, which need a URL with a name", strings.Join(s.Listeners, ", ")), r.Close())
	}
	return &Inspect{Client: client.Options{URL: where}, Admin: admin{r}, r: r}, nil
}

// nearest is the listener to take from this machine: a unix socket, then TCP, then a WebSocket. TLS is
// left out: its certificate is for another name than this machine's.
func nearest(listeners []string) string {
	for _, scheme := range []string{"unix", "tcp", "ws"} {
		for _, l := range listeners {
			u, err := url.Parse(l)
			if err != nil || u.Scheme != scheme {
				continue
			}
			if ip := net.ParseIP(u.Hostname()); scheme != "unix" && (u.Hostname() == "" || ip != nil && ip.IsUnspecified()) {
				u.Host = net.JoinHostPort("127.0.0.1", u.Port())
			}
			return u.String()
		}
	}
	return ""
}

// admin implements inspectfeed.Admin by the admin socket.
type admin struct{ r *remote }

var _ inspectfeed.Admin = admin{}

// Clients implements inspectfeed.Admin.
func (a admin) Clients(ctx context.Context) (inspect.Clients, error) {
	var out inspect.Clients
	err := a.r.call(ctx, http.MethodGet, "/v1/clients", nil, &out)
	return out, err
}

// Peers implements inspectfeed.Admin.
func (a admin) Peers(ctx context.Context) ([]inspect.Peer, error) {
	var rep HealthReport
	if err := a.r.call(ctx, http.MethodGet, "/v1/health", nil, &rep); err != nil {
		return nil, err
	}
	out := make([]inspect.Peer, len(rep.Peers))
	for i, p := range rep.Peers {
		out[i] = inspect.Peer{
			Name: p.Name, State: string(p.State), Up: p.Up, Required: p.Required, Since: p.Since, LastSeen: p.LastSeen,
			LatencyMS: p.LatencyMS, Restarts: p.Restarts, Drops: p.Drops, Err: p.Err,
		}
	}
	return out, nil
}

// Keeper implements inspectfeed.Admin.
func (a admin) Keeper(ctx context.Context, topic string) (k inspectfeed.Keeper, ok bool, err error) {
	err = a.r.call(ctx, http.MethodGet, "/v1/retained?topic="+url.QueryEscape(topic), nil, &k)
	return k, k.Topic != "", err
}
