package config

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

func TestURLHidesItsPassword(t *testing.T) {
	t.Parallel()
	const raw = "mqtts://robot:hunter2%40x@h:8883"
	l, err := Load(Source{File: os.DevNull, Env: []string{"TARSD_BROKER_URL=" + raw}})
	require.NoError(t, err)
	u := l.Broker.URL
	assert.Equal(t, raw, u.Reveal())
	assert.Equal(t, "mqtts://robot:***@h:8883", u.String())
	j, err := json.Marshal(l.Broker)
	require.NoError(t, err)
	y, err := yaml.Marshal(l.Broker)
	require.NoError(t, err)
	shown := []string{string(j), string(y), fmt.Sprint(l.Config), fmt.Sprintf("%v %+v %#v %s %q", u, u, u, u, u)}
	for _, v := range l.Values() {
		shown = append(shown, v.Text)
	}
	for _, s := range shown {
		assert.NotContains(t, s, "hunter2")
	}
	var again URL
	require.Error(t, again.UnmarshalText([]byte(u.String())), "a shown URL is not taken for a real one")
}

// What is wrong with a URL is told without its password.
func TestProblemsOfURLsHideThePassword(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"mqtt://u:hunter2@h:port", "mqtt://u:hunter2@h:99999", "amqp://u:hunter2@h", "mqtt://u:hunter2/@h", "mqtt://u:hunter2%zz@h",
		"mqtt://u:hunter2@", "mqtt://u:hunter2@h?x", "mqtt:u:hunter2@h",
	} {
		_, err := Load(Source{File: os.DevNull, Set: []Assignment{{"broker.url", raw, "--broker"}}})
		require.Error(t, err, raw)
		assert.Contains(t, err.Error(), "--broker: broker.url: ", raw)
		assert.NotContains(t, err.Error(), "hunter2", raw)
	}
}

func TestBrokerKeysThatContradict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set  [][2]string
		want string
	}{
		"two passwords": {[][2]string{{"url", "mqtt://u:p@h"}, {"password", "q"}}, "there are 2 passwords: keep one of url, password and password_file"},
		"two users":     {[][2]string{{"url", "mqtt://u@h"}, {"user", "v"}, {"password", "q"}}, "broker.url has a user too: keep one"},
		"half a pair":   {[][2]string{{"url", "mqtts://h"}, {"tls.cert", "c"}}, "cert and key belong together"},
		"plain with CA": {[][2]string{{"url", "mqtt://h"}, {"tls.ca", "c"}}, "has no effect with mqtt://; write mqtts:// or wss://"},
	} {
		s := Source{File: os.DevNull}
		for _, kv := range c.set {
			s.Set = append(s.Set, Assignment{"broker." + kv[0], kv[1], "--set"})
		}
		_, err := Load(s)
		require.Error(t, err, name)
		assert.Contains(t, err.Error(), c.want, name)
	}
	l, err := Load(Source{File: os.DevNull, Set: []Assignment{{"broker.url", "mqtt://h", "--set"}, {"broker.user", "v", "--set"}, {"broker.password_file", "f", "--set"}}})
	require.NoError(t, err)
	assert.True(t, l.Broker.Remote())
	assert.Equal(t, "v", l.Broker.Username())
	l, err = Load(Source{File: os.DevNull, Set: []Assignment{{"broker.url", "mqtt://a%40b:p@h", "--set"}}})
	require.NoError(t, err)
	assert.Equal(t, "a@b", l.Broker.Username())
	assert.False(t, Default().Broker.Remote())
}
