package client

import (
	"context"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
)

// TestReplyGoesWhereItMay: an answer follows the response topic of its request, but not to another row of
// the contract, and it is retained nowhere else.
func TestReplyGoesWhereItMay(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	_, err := Subscribe(c, contract.CharacterGet, func(ctx context.Context, m Message[contract.GetCharacter]) error {
		_, err := Reply(ctx, c, m, contract.CharacterCurrent, contract.Character{Name: "TARS"})
		return err
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(soon(t)))
	for i, asked := range []struct {
		response, topic string
	}{
		{"", "system/character/current"},
		{"system/character/current", "system/character/current"},
		{"page/7/answers", "page/7/answers"},
		{"movement/stop", "system/character/current"},
		{"movement/test", "system/character/current"},
		{"system/health/movement", "system/character/current"},
		{"$SYS/x", "system/character/current"},
	} {
		f.send("character/get", `{"id":"q","type":"character.get","data":{}}`, 1, uint16(i+1), func(p *packets.Publish) { //nolint:gosec // small
			p.Properties.ResponseTopic, p.Properties.CorrelationData = asked.response, []byte("corr")
		})
		p := get(t, f.pubs)
		assert.Equal(t, asked.topic, p.Topic, asked.response)
		assert.Equal(t, asked.topic == "system/character/current", p.Retain, asked.response)
		assert.Equal(t, "corr", string(p.Properties.CorrelationData))
		e, _, ok := contract.Peek(p.Payload)
		require.True(t, ok)
		assert.Equal(t, "q", e.ID)
	}
	f.stop(c)
}

// TestRetainedStateAnswersNobody: what was published before the question is no answer to it.
func TestRetainedStateAnswersNobody(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	got := make(chan string, 1)
	done := make(chan error, 1)
	go func() {
		m, err := Request(soon(t), c, contract.CharacterGet, contract.CharacterCurrent, contract.GetCharacter{}, WithID("q"))
		got <- m.Data.Name
		done <- err
	}()
	p := get(t, f.pubs)
	require.NotNil(t, p.Properties.MessageExpiry)
	assert.LessOrEqual(t, *p.Properties.MessageExpiry, uint32(20), "an answer that comes later is of no use")
	f.send("system/character/current", `{"id":"q","type":"system.character.current","data":{"name":"old"}}`, 1, 1, func(p *packets.Publish) { p.Retain = true })
	f.send("system/character/current", `{"id":"q","type":"system.character.current","data":{"name":"new"}}`, 1, 2)
	assert.Equal(t, "new", get(t, got))
	require.NoError(t, <-done)
	f.stop(c)
}

// TestWhatBeginsATurn: an event does, and state or a message without an id does not.
func TestWhatBeginsATurn(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	c := f.start(noHealth)
	turns := make(chan Turn, 10)
	_, err := Subscribe(c, contract.Health, func(ctx context.Context, _ Message[contract.HealthPing]) error {
		turns <- TurnOf(ctx)
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(soon(t)))
	const message = `{"id":"a","type":"health.status","data":{"ok":true}}`
	for i, m := range []struct {
		payload string
		change  func(*packets.Publish)
		turn    string
	}{
		{message, func(*packets.Publish) {}, "a"},
		{message, func(p *packets.Publish) { p.Properties.User = []packets.User{{Key: "turn", Value: "T"}} }, "T"},
		{message, func(p *packets.Publish) { p.Retain = true }, ""},
		{`{"message_id":"b","ok":true}`, func(*packets.Publish) {}, ""},
	} {
		f.send("system/health/x", m.payload, 1, uint16(i+1), m.change) //nolint:gosec // small
		assert.Equal(t, Turn{ID: m.turn}, get(t, turns), i)
	}
	f.stop(c)
}
