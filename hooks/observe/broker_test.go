package observe

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/storage"
)

// On a real broker: who subscribes late finds the figures, who is connected sees the events, and
// nothing of it is on disk.
func TestOnABroker(t *testing.T) {
	audit := NewAudit(AuditOptions{Log: zerolog.Nop()})
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithEvents(audit.Event))
	sys := NewSys(SysOptions{Engine: b.Engine, Version: "test", Expired: audit.Expired})
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 2)
	go func() { stopped <- sys.Run(ctx) }()
	go func() { stopped <- audit.Run(ctx, b.Engine) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-stopped)
		require.NoError(t, <-stopped)
	})

	figures, events := make(chan mqtt.Message, 1000), make(chan mqtt.Message, 1000)
	watcher := dial(t, b.TCP(), "watcher")
	subscribe(t, watcher, "$SYS/broker/#", figures)
	subscribe(t, watcher, AuditTopic, events)
	want := map[string]bool{"$SYS/broker/version": true, "$SYS/broker/uptime": true, "$SYS/broker/retained messages/count": true,
		"$SYS/broker/load/publish/sent/15min": true}
	for len(want) > 0 {
		delete(want, receive(t, figures).Topic())
	}

	dial(t, b.TCP(), "newcomer").Disconnect(100)
	for seen := ""; !strings.Contains(seen, "connect newcomer") || !strings.Contains(seen, "disconnect newcomer"); {
		var e delivery.Event
		require.NoError(t, json.Unmarshal(receive(t, events).Payload(), &e))
		seen += e.Kind + " " + e.Client + "\n"
	}

	require.NoError(t, b.Store().Sync(t.Context()))
	require.NoError(t, b.Store().Range(storage.Bucket("retained"), nil, func(k, _ []byte) error {
		assert.NotContains(t, string(k), "$SYS")
		return nil
	}))
}

func dial(t *testing.T, address, id string) mqtt.Client {
	t.Helper()
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker("tcp://" + address).SetClientID(id).SetAutoReconnect(false))
	token := c.Connect()
	require.True(t, token.WaitTimeout(10*time.Second))
	require.NoError(t, token.Error())
	t.Cleanup(func() { c.Disconnect(100) })
	return c
}

func subscribe(t *testing.T, c mqtt.Client, filter string, to chan<- mqtt.Message) {
	t.Helper()
	token := c.Subscribe(filter, 0, func(_ mqtt.Client, m mqtt.Message) { to <- m })
	require.True(t, token.WaitTimeout(10*time.Second))
	require.NoError(t, token.Error())
}

func receive(t *testing.T, from <-chan mqtt.Message) mqtt.Message {
	t.Helper()
	select {
	case m := <-from:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrives")
		return nil
	}
}
