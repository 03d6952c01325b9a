package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

func TestInspectArgs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"--inspect":                          "inspect",
		"--inspect mqtt://x":                 "inspect mqtt://x",
		"--inspect=mqtt://x --json":          "inspect mqtt://x --json",
		"--data d --inspect -n 3":            "inspect --data d -n 3",
		"--data d --inspect mqtt://x -n 3":   "inspect --data d mqtt://x -n 3",
		"--data d --inspect=mqtt://x --json": "inspect --data d mqtt://x --json",
		"run --data d":                       "run --data d",
		"--data d":                           "--data d",
		"pub -m --inspect":                   "pub -m --inspect",
		"":                                   "",
	} {
		assert.Equal(t, strings.Fields(want), strings.Fields(strings.Join(inspectArgs(strings.Fields(in)), " ")), in)
	}
}

// onlyMe lets in one user with one password.
type onlyMe struct{ brokertest.AllowAll }

func (onlyMe) Authenticate(_ context.Context, _ *delivery.Peer, user *string, password []byte) (wire.Code, string) {
	if user != nil && *user == "me" && string(password) == "secret" {
		return wire.Success, ""
	}
	return wire.BadUserNameOrPassword, "bad user name or password"
}

func TestInspectLogsIn(t *testing.T) { // sets the environment
	b := brokertest.Start(t, brokertest.WithPolicy(onlyMe{}))
	b.Engine.Publish("hello", []byte("x"), 0, true)
	inspect := func(args ...string) (string, string, error) {
		var out, errs bytes.Buffer
		err := run(t.Context(), append([]string{"--inspect"}, args...), stdio{Out: &out, Err: &errs})
		return out.String(), errs.String(), err
	}
	url := "mqtt://" + b.TCP()
	t.Setenv("TARSD_PASSWORD", "wrong")
	_, said, err := inspect(url, "-u", "me", "-n", "1")
	require.Error(t, err)
	assert.Contains(t, said, "bad user name or password")
	t.Setenv("TARSD_PASSWORD", "secret")
	out, _, err := inspect(url, "-u", "me", "-n", "1")
	require.NoError(t, err)
	assert.Contains(t, out, `"topic":"hello"`)
	_, _, err = inspect("mqtt://me:secret@"+b.TCP(), "-n", "1")
	require.NoError(t, err)
	_, _, err = inspect(url, "-n", "1")
	require.Error(t, err)
}
