// Package feed brings a broker's messages into a model of internal/inspect. It is an ordinary client,
// that reads at QoS 0 as fast as it can and drops the oldest of what it cannot take in: whatever it does,
// the broker does not wait. What topics do not tell, it asks of an Admin where there is one.
package feed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// Admin is what a broker tells of itself beside MQTT. Its methods may be called from any goroutine.
type Admin interface {
	Clients(ctx context.Context) (inspect.Clients, error)
	Peers(ctx context.Context) ([]inspect.Peer, error)
	// Keeper tells who left the retained message of a topic, and when; ok is false if there is none.
	Keeper(ctx context.Context, topic string) (k Keeper, ok bool, err error)
}

// Keeper is who left a retained message.
type Keeper struct {
	Topic string    `json:"topic"`
	From  string    `json:"from"` // client id; empty: the broker itself
	At    time.Time `json:"at"`
}

// Options of Connect. Client.URL or Client.Dial must be set.
type Options struct {
	Client  client.Options // where and as whom; the rest is set here
	Filters []string       // empty: all topics, and those of the broker
	Admin   Admin          // nil: only what topics tell
	Limits  inspect.Limits // zero: the defaults
}

// Feed is a model and the connection that feeds it.
type Feed struct {
	c     *client.Client
	subs  []*client.Subscription
	admin Admin
	run   sync.WaitGroup
	stop  context.CancelFunc

	mu      sync.Mutex
	model   *inspect.Model
	refused error // a subscription, or nil
	adminIs error // why the admin does not answer, or nil
	asked   bool
}

const (
	queue      = 4096            // messages that wait for the model; a fifth of a second at 20,000 a second
	queueBytes = 16 << 20        // of these, for each filter
	askEvery   = 2 * time.Second // the admin
	drain      = time.Second     // for what was published and not acknowledged
	goodbye    = 3 * time.Second
	maxPacket  = 16 << 20
)

// broker are the filters of what "#" leaves out. They are two, since a role may see one of them only.
const (
	everything  = "#"
	brokerTopic = "$SYS/broker/#"
	tarsdTopic  = "$SYS/tarsd/#"
)

// Filters are those that were asked for, or if there are none all topics and those of the broker.
func Filters(asked []string) []string {
	if len(asked) > 0 {
		return asked
	}
	return []string{everything, brokerTopic, tarsdTopic}
}

// Connect makes a feed and begins to connect. It fails for bad options only. Close ends it.
func Connect(ctx context.Context, o Options) (*Feed, error) {
	if o.Limits == (inspect.Limits{}) {
		o.Limits = inspect.DefaultLimits()
	}
	co := o.Client
	co.ID = "tarsd-inspect-" + client.NewID()[:8]
	co.Name, co.NoHealth, co.Heartbeat, co.SessionExpiry, co.MaxPacket = "inspect", true, -1, -1, maxPacket
	co.Drain = drain
	co.Log = zerolog.Nop() // the screen shows what is the matter
	c, err := client.Connect(ctx, co)
	if err != nil {
		return nil, err
	}
	f := &Feed{c: c, admin: o.Admin, model: inspect.New(o.Limits)}
	filters := Filters(o.Filters)
	for i, filter := range filters {
		s, err := c.SubscribeRaw(filter, 0, f.taker(filters[:i]), client.Queue(queue, client.DropOldest), client.QueueBytes(queueBytes), client.AsPublished())
		if err != nil {
			return nil, errors.Join(err, c.Close(ctx))
		}
		f.subs = append(f.subs, s)
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.run.Go(func() { f.settle(ctx) })
	if f.admin != nil {
		f.run.Go(func() { f.ask(ctx) })
	}
	return f, nil
}

// taker is the handler of a subscription. A message that an earlier one is for too is that one's, so that
// it counts once.
func (f *Feed) taker(earlier []string) func(context.Context, client.RawMessage) error {
	return func(_ context.Context, m client.RawMessage) error {
		for _, filter := range earlier {
			if contract.Match(filter, m.Topic) && !f.isRefused(filter) {
				return nil
			}
		}
		f.take(m)
		return nil
	}
}

func (f *Feed) isRefused(filter string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var no *client.RefusedError
	return errors.As(f.refused, &no) && no.Topic == filter
}

func (f *Feed) take(m client.RawMessage) {
	msg := inspect.Message{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: m.Retained, At: m.Received}
	if len(m.Props) > 0 {
		msg.Props = make([]inspect.Prop, len(m.Props))
		for i, p := range m.Props {
			msg.Props[i] = inspect.Prop(p)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.model.Add(msg)
}

// With calls g with the model, which is its alone meanwhile.
func (f *Feed) With(g func(*inspect.Model)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	g(f.model)
}

// settle waits for what the broker says to the subscriptions.
func (f *Feed) settle(ctx context.Context) {
	if err := f.c.Ready(ctx); err != nil && ctx.Err() == nil {
		f.mu.Lock()
		f.refused = err
		f.mu.Unlock()
	}
}

// ask asks the admin now and every askEvery.
func (f *Feed) ask(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		f.askOnce(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (f *Feed) askOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 2*askEvery)
	defer cancel()
	clients, err := f.admin.Clients(ctx)
	var peers []inspect.Peer
	if err == nil {
		peers, err = f.admin.Peers(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.adminIs, f.asked = err, true
	if err == nil {
		f.model.SetClients(clients, time.Now())
		f.model.SetPeers(peers)
	}
}

// Status is how the feed is.
type Status struct {
	Where      string // the broker, without password
	Connected  bool
	Since      time.Time // of the connection
	Reconnects int
	Problem    string // why there is no connection, or less to see than could be
	Missed     int    // messages that came too fast to be taken in
	Admin      bool   // the broker's admin socket answers
}

// Status tells how the feed is.
func (f *Feed) Status() Status {
	st := f.c.Stats()
	s := Status{Where: f.c.Where(), Connected: st.Connected, Since: st.Since, Reconnects: st.Reconnects}
	for _, sub := range st.Subscriptions {
		s.Missed += sub.Dropped
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.Admin = f.admin != nil && f.asked && f.adminIs == nil
	switch {
	case !st.Connected && f.refused == nil:
		if err := f.c.Err(); err != nil {
			s.Problem = err.Error()
		}
	case f.refused != nil:
		s.Problem = f.refused.Error()
	case f.adminIs != nil:
		s.Problem = "admin socket: " + f.adminIs.Error()
	}
	return s
}

// Publish publishes and waits for the broker's answer.
func (f *Feed) Publish(ctx context.Context, topic string, payload []byte, qos byte, retain bool) error {
	r, err := f.c.PublishRaw(ctx, topic, payload, qos, retain)
	if err == nil && r.Queued {
		return fmt.Errorf("publish %q: no connection, it goes out when there is one", topic)
	}
	return err
}

// Keeper asks who left the retained message of a topic; ok is false where nobody can tell.
func (f *Feed) Keeper(ctx context.Context, topic string) (k Keeper, ok bool) {
	if f.admin == nil {
		return k, false
	}
	k, ok, err := f.admin.Keeper(ctx, topic)
	return k, ok && err == nil
}

// Close ends the connection. The error tells of what was published and could not be sent.
func (f *Feed) Close() error {
	f.stop()
	ctx, cancel := context.WithTimeout(context.Background(), goodbye)
	defer cancel()
	err := f.c.Close(ctx)
	f.run.Wait()
	return err
}
