package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/access"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

func defect15(t *testing.T) {
	e := newRig(t, wt.V5)
	sub, pub := e.connect("sub", prop(wt.Num(wt.MaximumPacketSize, 200))), e.connect("pub")
	sub.Subscribe(e.sub("t", 0))
	var all []byte
	for i := range 200 {
		all = append(all, e.msg("t", fmt.Sprint(i), 0).Bytes(wt.V5)...)
		if i%7 == 3 || i == 199 {
			all = append(all, e.msg("t", strings.Repeat("x", 500), 0).Bytes(wt.V5)...)
		}
	}
	pub.Send(all)
	for i := range 200 {
		sub.ExpectPublish(e.topic("t"), fmt.Sprint(i)) // the last too, with nothing behind it
	}
}

func defect16(t *testing.T) {
	for _, transport := range []string{"tcp", "ws", "memory"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			e := newRig(t, wt.V5)
			e.transport = transport
			stuck, pub := e.connect("stuck", e.kept()), e.connect("pub")
			stuck.Subscribe(e.sub("t", 1))
			m := e.msg("t", strings.Repeat("x", 64<<10), 1)
			for range 150 { // far more than sockets hold; stuck reads nothing
				pub.Publish(m)
			}
			start := time.Now()
			_, ack := e.connack("stuck", e.kept())
			assert.True(t, ack.Present)
			assert.Less(t, time.Since(start), 3*time.Second, "time of the take-over")
		})
	}
}

func defect17(t *testing.T) {
	e := newRig(t, wt.V5, brokertest.WithConnLimits(func(l *broker.ConnLimits) {
		l.ConnectTimeout, l.Connections = 700*time.Millisecond, 3
	}))
	silent, half := e.dial("silent"), e.dial("half")
	half.Send(e.options("half").Bytes(wt.V5)[:9])
	one := e.dial("one")
	one.Connect(e.options("one"))
	over := e.dial("over")
	_ = over.TrySend(e.options("over").Bytes(wt.V5))
	over.ExpectRefused() // the silent ones count
	silent.ExpectClosed()
	half.ExpectClosed()
	one.ExpectQuiet()
	require.Eventually(t, func() bool { return e.b.Broker.Connections() == 1 }, 5*time.Second, 5*time.Millisecond)
	e.connect("again").ExpectQuiet()

	// And they do not keep the broker from stopping.
	slow := newRig(t, wt.V5, brokertest.WithConnLimits(func(l *broker.ConnLimits) { l.ConnectTimeout = time.Minute }))
	for range 3 {
		slow.dial("silent")
		slow.connect("talking")
	}
	start := time.Now()
	slow.b.Stop(t)
	assert.Less(t, time.Since(start), 3*time.Second, "time to stop")
}

func defect20(t *testing.T, version byte) {
	e := newRig(t, version, brokertest.WithPolicy(guard{}))
	watch, pub := e.connect("watch"), e.connect("pub")
	watch.Subscribe(wt.Filter{Name: "#", Opts: 1})
	c := e.dial("a")
	c.Send(e.options("a", will(wt.Will{Topic: "deny/will", Payload: "x", QoS: 1})).Bytes(version))
	if p := c.ExpectRefused(); p != nil {
		want := byte(5)
		if version == wt.V5 {
			want = 0x87
		}
		assert.Equal(t, want, p.Code)
	}
	e.connect("b", will(wt.Will{Topic: e.topic("w"), Payload: "allowed", QoS: 1})).Drop()
	watch.Receive(e.topic("w"), "allowed")
	pub.Publish(e.msg("end", "x", 1))
	watch.Receive(e.topic("end"), "x")
}

func defect21(t *testing.T) {
	e := newRig(t, wt.V5, brokertest.WithPolicy(guard{}))
	watch, c := e.connect("watch"), e.connect("a")
	watch.Subscribe(wt.Filter{Name: "#", Opts: 1})
	try := func(m wt.Publish) byte {
		m.QoS, m.ID = 1, c.NextID()
		c.Send(m.Bytes(wt.V5))
		return c.Expect(wt.PUBACK).Code
	}
	assert.Zero(t, try(alias(e.msg("ok", "1", 1), 1)))
	watch.Receive(e.topic("ok"), "1")
	assert.Zero(t, try(alias(wt.Publish{Payload: "2"}, 1)), "an allowed topic by its alias")
	watch.Receive(e.topic("ok"), "2")
	assert.Equal(t, byte(0x87), try(alias(wt.Publish{Topic: "deny/x", Payload: "3"}, 1)), "the alias gets a denied topic")
	// Whatever the alias stands for now, it is not a way around the policy.
	m := alias(wt.Publish{Payload: "4", QoS: 1, ID: c.NextID()}, 1)
	c.Send(m.Bytes(wt.V5))
	if p := c.Next(); p.Type == wt.PUBACK {
		assert.Equal(t, byte(0x87), p.Code)
	}
	end := e.connect("end")
	end.Publish(e.msg("end", "x", 1))
	watch.Receive(e.topic("end"), "x")
}

func defect22(t *testing.T) {
	roles, err := access.NewRoles(map[string][]string{"narrow": {"both mine/%u/#"}})
	require.NoError(t, err)
	users, err := access.OpenUsers(access.UsersOptions{Roles: roles})
	require.NoError(t, err)
	for name, password := range map[string]string{"anna": "se*ret", "bert": "*"} {
		require.NoError(t, users.Update(t.Context(), name, access.Change{Password: []byte(password), Roles: []string{"narrow"}}))
	}
	policy, err := access.New(access.Options{Users: users, Roles: roles, Anonymous: access.Nobody})
	require.NoError(t, err)
	e := newRig(t, wt.V5, brokertest.WithPolicy(policy))
	login := func(user, password string) wt.Connect {
		return e.options(user, with(func(o *wt.Connect) { o.User, o.Password = &user, &password }))
	}
	c := e.dial("anna")
	c.Connect(login("anna", "se*ret"))
	c.Publish(wt.Publish{Topic: "mine/anna/x", QoS: 1})
	for _, topic := range []string{"mine/bert/x", "mine", "other", "mine/annax"} {
		id := c.NextID()
		c.Send(wt.Publish{Topic: topic, QoS: 1, ID: id}.Bytes(wt.V5))
		assert.Equal(t, byte(0x87), c.Expect(wt.PUBACK).Code, "publish %s", topic)
		c.Send(wt.Subscribe(wt.V5, id, nil, wt.Filter{Name: topic}))
		assert.Equal(t, []byte{0x87}, c.Expect(wt.SUBACK).Codes, "subscribe %s", topic)
	}
	c.Send(wt.Subscribe(wt.V5, 1, nil, wt.Filter{Name: "#"}, wt.Filter{Name: "mine/+/x"}, wt.Filter{Name: "mine/anna/#"}))
	assert.Equal(t, []byte{0x87, 0x87, 0}, c.Expect(wt.SUBACK).Codes)
	// A star in a password is a star. Failed logins slow down, so these run at a time.
	var wg sync.WaitGroup
	for _, o := range []wt.Connect{login("anna", "se-x-ret"), login("bert", "anything"), login("nobody", "x"), e.options("anonymous")} {
		c := e.dial(o.ClientID)
		wg.Go(func() {
			if assert.NoError(t, c.TrySend(o.Bytes(wt.V5))) {
				p, err := c.TryNext()
				if assert.NoError(t, err) {
					assert.Contains(t, []byte{0x86, 0x87, 0x9f}, p.Code)
				}
			}
		})
	}
	wg.Wait()
}

func defect25(t *testing.T, version byte) {
	e := newRig(t, version)
	start := time.Now() // before the clock of any of them
	var open []*wt.Conn
	for _, seconds := range []uint16{0, 1, 43690, 43691, 50000, 65535} {
		open = append(open, e.connect(fmt.Sprint("k", seconds), with(func(o *wt.Connect) { o.KeepAlive = seconds })))
	}
	open[1].ExpectClosed() // the one with a second is the clock
	assert.GreaterOrEqual(t, time.Since(start), 900*time.Millisecond)
	for i, c := range open {
		if i != 1 {
			c.ExpectQuiet()
		}
	}
	for _, c := range e.b.Engine.Clients() {
		assert.Equal(t, e.id(fmt.Sprint("k", c.KeepAlive)), c.ID, "keep alive of %s", c.ID)
	}
}

func defect28(t *testing.T, version byte) {
	e := newRig(t, version)
	as := func(user string) mod {
		return with(func(o *wt.Connect) { o.User, o.Password = &user, ptr("x") })
	}
	c := e.connect("a", e.kept(), as("anna"))
	c.Subscribe(e.sub("t", 1))
	for _, o := range []wt.Connect{e.options("a", e.kept(), as("bert")), e.options("a", e.kept()), e.options("a", as("bert"))} {
		thief := e.dial("thief")
		thief.Send(o.Bytes(version))
		require.NotNil(t, thief.ExpectRefused())
		c.ExpectQuiet()
	}
	c.Drop()
	pub := e.connect("pub")
	pub.Publish(e.msg("t", "for anna", 1))
	thief := e.dial("thief")
	thief.Send(e.options("a", e.kept(), as("bert")).Bytes(version))
	require.NotNil(t, thief.ExpectRefused(), "nor when she is away")
	c, ack := e.connack("a", e.kept(), as("anna"))
	assert.True(t, ack.Present)
	c.Receive(e.topic("t"), "for anna")
}
