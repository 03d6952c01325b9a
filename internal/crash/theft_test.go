package crash

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// TestIdentityTheft lets one user take the client id of another: the session, its queue
// and its connection stay with the one whose they are.
func TestIdentityTheft(t *testing.T) {
	tarsdOnly(t)
	b := newBroker(t, "access.anonymous=false")
	for _, user := range []string{"alice", "bob"} {
		cmd := exec.CommandContext(t.Context(), b.bin, "passwd", "--data", b.dir, "--role", "admin", user)
		cmd.Stdin = strings.NewReader("secret of " + user + "\n")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	d := b.start(t)
	as := func(user string) rawmqtt.ConnectOptions {
		return rawmqtt.ConnectOptions{ID: "hers", Version: rawmqtt.V5, Expiry: 3600, User: user, Password: "secret of " + user}
	}
	alice, err := rawmqtt.Dial(t.Context(), b.addr, as("alice"))
	require.NoError(t, err)
	defer alice.Close()
	alice.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, rawmqtt.V5, 1, 1, "for/alice") })
	f, err := alice.Next()
	require.NoError(t, err)
	require.Equal(t, rawmqtt.Suback, f.Type)

	for _, thief := range []rawmqtt.ConnectOptions{
		as("bob"),
		{ID: "hers", Version: rawmqtt.V5},
		{ID: "hers", Version: rawmqtt.V311, User: "alice", Password: "guessed"},
		{ID: "hers", Version: rawmqtt.V311, Clean: true, User: "bob", Password: "secret of bob"},
	} {
		_, err := rawmqtt.Dial(t.Context(), b.addr, thief)
		assert.ErrorIs(t, err, rawmqtt.ErrRefused, "%+v", thief)
	}

	bob := as("bob")
	bob.ID = "his"
	c, err := rawmqtt.Dial(t.Context(), b.addr, bob)
	require.NoError(t, err)
	defer c.Close()
	c.Send(func(b []byte) []byte {
		return rawmqtt.AppendPublish(b, rawmqtt.V5, rawmqtt.Message{Topic: []byte("for/alice"), Payload: []byte("still hers"), ID: 1, QoS: 1})
	})
	require.NoError(t, alice.SetReadDeadline(time.Now().Add(10*time.Second)))
	f, err = alice.Next()
	require.NoError(t, err, "alice's connection")
	require.Equal(t, rawmqtt.Publish, f.Type)

	// Offline it is hers as well.
	alice.Finish()
	_, err = rawmqtt.Dial(t.Context(), b.addr, as("bob"))
	assert.ErrorIs(t, err, rawmqtt.ErrRefused)
	again, err := rawmqtt.Dial(t.Context(), b.addr, as("alice"))
	require.NoError(t, err)
	assert.True(t, again.Info.Present, "alice's session")
	again.Close()
	b.stop(t, d)
}
