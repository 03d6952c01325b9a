package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDeviceProfiles(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{File: write(t, `
devices:
  esp32: false
  profiles:
    - name: arm
      match: arm-*
      like: esp32
      window: 2
      max_age: 3s
      clear: [arm/stop]
      bare: ["arm/#"]
      keep_alive: probe
      probe: {topic: arm/ping, payload: "{}", interval: 5s, reply: '{"pong":true}'}
      subscriptions: [arm/move 1, arm/stop, "arm/raw 0"]
      rate: {messages: 20}
dedup: {ttl: 1m, entries: 10, topics: [arm/move], exclude: ["llm/#"]}
`)})
	require.NoError(t, err)
	assert.False(t, l.Devices.ESP32)
	require.Len(t, l.Devices.Profiles, 1)
	p := l.Devices.Profiles[0]
	assert.Equal(t, []Subscribed{{"arm/move", 1}, {"arm/stop", 1}, {"arm/raw", 0}}, p.Subscriptions)
	assert.Equal(t, KeepProbe, p.KeepAlive)
	assert.Equal(t, []string{"arm/stop"}, p.Clear)
	assert.Equal(t, []string{"arm/#"}, p.Bare)
	assert.Equal(t, Dedup{Enabled: true, TTL: Duration(60e9), Entries: 10, Topics: []string{"arm/move"}, Exclude: []string{"llm/#"}}, l.Dedup)
}

func TestDeviceProblems(t *testing.T) {
	t.Parallel()
	file := write(t, `
devices:
  profiles:
    - {like: toaster, window: -1, queue: 2000000, hold_refusal: 1m, keep_alive: connection, presence: "a/#"}
    - {match: a, keep_alive: probe, subscriptions: ["a/#/b 1"], probe: {reply: "[]", reply_topic: $SYS/x}}
    - {match: b, keep_alive: sometimes, subscriptions: [x 3], link: 1s, probe: {interval: 1ms}}
    - {match: c, keep_alive: connection, clear: [a/+], bare: [a, "#/a"], enveloped: [""]}
dedup: {ttl: 1ms, entries: 0, topics: ["#/a"], exclude: [""]}
`)
	_, err := Load(Source{File: file})
	got := complaints(t, file, err)
	want := []string{
		"devices.profiles[2].keep_alive", "devices.profiles[2].subscriptions[0]",
		"dedup.ttl", "dedup.entries", "dedup.topics[0]", "dedup.exclude[0]",
		"devices.profiles[0].match", "devices.profiles[0].like", "devices.profiles[0].window", "devices.profiles[0].queue",
		"devices.profiles[0].hold_refusal", "devices.profiles[0].presence",
		"devices.profiles[1].subscriptions[0]", "devices.profiles[1].probe.topic", "devices.profiles[1].probe.interval",
		"devices.profiles[1].probe.reply", "devices.profiles[1].probe.reply_topic",
		"devices.profiles[2].link", "devices.profiles[2].probe.interval",
		"devices.profiles[3].link", "devices.profiles[3].bare[1]", "devices.profiles[3].enveloped[0]", "devices.profiles[3].clear[0]",
	}
	require.Len(t, got, len(want), "%q", got)
	for i := range want {
		assert.Contains(t, got[i], want[i])
	}
}
