package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/services/contract"
)

// FuzzSee feeds a table with anything under a topic of health. Whatever it publishes is a health
// message by the contract, unless it is the very message that came.
func FuzzSee(f *testing.F) {
	for _, p := range []string{
		`{"ok":true,"event":"ready","timestamp":12}`,
		`{"id":"a","type":"health.status","ts":1.5,"source":"x","data":{"ok":false,"event":"restarting","err":"e"}}`,
		`{"ok":false,"event":"frame_timeout","timestamp":1e300}`,
		`{"data":{"ok":true},"type":1}`, `{"ok":true,"event":{}}`, `{`, ``, `{"ok":true,"message_id":""}`,
	} {
		f.Add("stt", "tars-stt", []byte(p), byte(3))
		f.Add("tars-movement", "x", []byte(p), byte(1))
		f.Add("movement-esp32", "", []byte(p), byte(7))
	}
	f.Fuzz(func(t *testing.T, level, from string, payload []byte, how byte) {
		s := newStory(t, nil)
		peer := &delivery.Peer{ID: from}
		if how&1 != 0 {
			s.peers[from] = peer
			s.table.see(delivery.Sight{Kind: delivery.SawConnect, Peer: peer, At: s.now})
		}
		prefix := healthPrefix
		if how&8 != 0 {
			prefix = keepalivePrefix
		}
		for range 2 {
			s.table.see(delivery.Sight{
				Topic: prefix + level, From: from, Payload: payload, Retain: how&2 != 0, IsWill: how&4 != 0, At: s.now,
			})
		}
		s.table.see(delivery.Sight{Kind: delivery.SawDisconnect, Peer: peer, At: s.now})
		for range 5 {
			s.now = s.now.Add(20 * time.Second)
			s.table.due(s.now)
		}
		own, bare := parsePing(payload)
		for _, p := range s.table.out {
			if string(p.payload) == string(payload) || bare && string(p.payload) == string(own.data) {
				continue
			}
			if len(p.payload) > 0 {
				_, err := contract.Health.At("x").Decode(p.payload)
				require.NoError(t, err, "%s", p.payload)
			}
		}
		require.LessOrEqual(t, len(s.table.out), 64)
	})
}
