package health_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/health"
	"github.com/tarsd/tarsd/services/contract"
)

// The loop around the table keeps its deadlines, and sleeps when there are none.
func TestLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := delivery.New(delivery.Options{Limits: delivery.DefaultLimits(), Policy: brokertest.AllowAll{}, Log: zerolog.Nop()})
		require.NoError(t, err)
		events := func() map[string]string {
			synctest.Wait()
			all := map[string]string{}
			e.EachRetained("system/health/+", func(s delivery.Sight) bool {
				m, err := contract.Health.Decode(s.Payload)
				assert.NoError(t, err)
				all[s.Topic] = contract.Value(m.Data.Event)
				return true
			})
			return all
		}
		say := func(level, event string, ok bool) {
			e.Publish("system/health/"+level, []byte(ping(ok, event)), 1, true)
		}
		say("tars-stt", "ready", true)
		w := health.New(health.Options{Engine: e})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		both := func(event string) map[string]string {
			return map[string]string{"system/health/stt": event, "system/health/tars-stt": event}
		}
		assert.Equal(t, both("ready"), events())
		time.Sleep(29 * time.Second)
		assert.Equal(t, both("ready"), events())
		time.Sleep(2 * time.Second)
		assert.Equal(t, both("disconnected"), events())
		say("stt", "restarting", false)
		assert.Equal(t, both("restarting"), events())
		time.Sleep(4 * time.Minute)
		assert.Equal(t, both("restarting"), events())
		time.Sleep(24 * time.Hour)
		say("tars-stt", "shutdown", false)
		cancel()
		assert.NoError(t, <-done)
		assert.Equal(t, both("shutdown"), events(), "the last word is carried")
		say("stt", "ready", true)
		assert.Equal(t, "shutdown", events()["system/health/tars-stt"], "it has ended")
		require.NoError(t, e.Shutdown(t.Context()))
	})
}

// What is said between New and Run, which starts when the scheduler likes, is carried once.
func TestBeforeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e, err := delivery.New(delivery.Options{Limits: delivery.DefaultLimits(), Policy: brokertest.AllowAll{}, Log: zerolog.Nop()})
		require.NoError(t, err)
		tap := e.Tap(delivery.TapOptions{Filters: []string{"system/health/+"}})
		said := func() (words []string) {
			for _, s := range tap.Take(nil) {
				word := strings.TrimPrefix(s.Topic, "system/health/") + " cleared"
				if len(s.Payload) > 0 {
					m, err := contract.Health.Decode(s.Payload)
					require.NoError(t, err)
					word = strings.TrimPrefix(s.Topic, "system/health/") + " " + contract.Value(m.Data.Event)
				}
				words = append(words, word)
			}
			return words
		}
		e.Publish("system/health/tars-tts", []byte(ping(true, "ready")), 1, true)
		w := health.New(health.Options{Engine: e})
		assert.Equal(t, []string{"tars-tts ready", "tts ready"}, said(), "kept from the run before")
		e.Publish("system/health/tars-stt", []byte(ping(true, "ready")), 1, true)
		e.Publish("system/health/tars-tts", nil, 1, true)
		e.Publish("system/health/llm", []byte(ping(false, "restarting")), 1, true)
		e.Publish("system/health/llm", []byte(ping(true, "ready")), 1, true)
		assert.Equal(t, []string{"tars-stt ready", "tars-tts cleared", "llm restarting", "llm ready"}, said())

		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- w.Run(ctx) }()
		synctest.Wait()
		assert.Equal(t, []string{"stt ready", "tts cleared", "tars-llm restarting", "tars-llm ready"}, said())
		cancel()
		assert.NoError(t, <-done)
		require.NoError(t, e.Shutdown(t.Context()))
	})
}
