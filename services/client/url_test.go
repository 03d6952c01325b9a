package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]server{
		"mqtt://h":                             {scheme: "mqtt", address: "h:1883"},
		"mqtt://":                              {scheme: "mqtt", address: "localhost:1883"},
		"mqtt://h:0/ignored?x#y":               {scheme: "mqtt", address: "h:1883"},
		"TCP://h:18":                           {scheme: "mqtt", address: "h:18"},
		"tls://h":                              {scheme: "mqtts", address: "h:8883"},
		"mqtts://h:99":                         {scheme: "mqtts", address: "h:99"},
		"ssl://[::1]":                          {scheme: "mqtts", address: "[::1]:8883"},
		"mqtt://[::1]:18":                      {scheme: "mqtt", address: "[::1]:18"},
		"ws://h":                               {scheme: "ws", address: "h:80", path: "/"},
		"wss://h/mqtt?t=1":                     {scheme: "wss", address: "h:443", path: "/mqtt?t=1"},
		"unix:///run/tarsd.sock":               {scheme: "unix", address: "/run/tarsd.sock"},
		"unix://u:p@/run/a%20b":                {scheme: "unix", address: "/run/a b", user: "u", password: "p", hasUser: true, hasPass: true},
		"mqtt://user@h":                        {scheme: "mqtt", address: "h:1883", user: "user", hasUser: true},
		"mqtt://user:pass@h":                   {scheme: "mqtt", address: "h:1883", user: "user", password: "pass", hasUser: true, hasPass: true},
		"mqtt://us%40er:p%3A%2F%25%20%C3%A9@h": {scheme: "mqtt", address: "h:1883", user: "us@er", password: "p:/% é", hasUser: true, hasPass: true},
		"mqtt://u:p@q@h":                       {scheme: "mqtt", address: "h:1883", user: "u", password: "p@q", hasUser: true, hasPass: true},
	} {
		got, err := parseURL(raw)
		require.NoError(t, err, raw)
		assert.True(t, got == want, "%s: got %s", raw, got)
	}
	for _, raw := range []string{
		"", "h", "h:1883", "http://h", "mqtt:h", "mqtt://u:SECRET/w@h", "mqtt://u:SECRET%zz@h", "mqtt://h:SECRET", "mqtt://h:70000",
		"mqtt://h:-1", "mqtt://[SECRET]", "mqtt://a b", "mqtt://u%00:SECRET@h", "unix://SECRET/x", "unix://", "unix:///", "ws://h/ x", "mqtt://::1",
		"mqtt://u:SECRET?x@h",
	} {
		_, err := parseURL(raw)
		require.Error(t, err, raw)
		assert.NotContains(t, err.Error(), "SECRET", raw)
	}
}

// A password is in no text that the client makes.
func TestPasswordIsNotPrinted(t *testing.T) {
	t.Parallel()
	log := &lines{}
	o := Options{URL: "mqtt://me:hush%20hush@127.0.0.1:1/", ID: "tars-x", Log: zerolog.New(log), BackoffMin: time.Millisecond, BackoffMax: time.Millisecond}
	c, err := Connect(t.Context(), o)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = c.Await(ctx)
	require.Error(t, err)
	require.NoError(t, c.Close(soon(t)))
	_, bad := Connect(t.Context(), Options{URL: "mqtt://me:hush%20hush@h:x", ID: "tars-x"})
	require.Error(t, bad)
	secret, jerr := json.Marshal(Secret("hush"))
	require.NoError(t, jerr)
	var all bytes.Buffer
	for _, v := range []any{o, &o, c, c.server, Secret("hush"), err, bad} {
		fmt.Fprintf(&all, "%v %+v %s %#v\n", v, v, v, v)
	}
	text := all.String() + log.String() + string(secret)
	assert.NotContains(t, text, "hush")
	assert.Contains(t, text, "127.0.0.1:1")
	assert.Contains(t, log.String(), "cannot connect")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	good := Options{URL: "mqtt://h", ID: "tars-x"}
	for problem, change := range map[string]func(*Options){
		"id":        func(o *Options) { o.ID = "" },
		"name":      func(o *Options) { o.Name = "a/b" },
		"url":       func(o *Options) { o.URL = "" },
		"heartbeat": func(o *Options) { o.Heartbeat = time.Millisecond },
		"alive":     func(o *Options) { o.KeepAlive = time.Millisecond },
		"backoff":   func(o *Options) { o.BackoffMin, o.BackoffMax = 2, 1 },
		"window":    func(o *Options) { o.Window = 70000 },
		"packet":    func(o *Options) { o.MaxPacket = 1 },
		"queue":     func(o *Options) { o.Queue = -1 },
		"expiry":    func(o *Options) { o.SessionExpiry = 200 * 365 * 24 * time.Hour },
	} {
		o := good
		change(&o)
		_, err := Connect(t.Context(), o)
		require.ErrorContains(t, err, problem)
	}
	o := good
	o.BackoffMin, o.BackoffMax = time.Second, time.Second // equal is fine
	_, err := o.complete()
	require.NoError(t, err)
	assert.Equal(t, "x", o.Name)
	assert.Equal(t, time.Hour, o.SessionExpiry)
	bad := Options{Window: -1, Queue: -1}
	_, err = bad.complete()
	assert.Greater(t, strings.Count(err.Error(), "\n"), 3, "all at once")
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"mqtt://u:p%20@h:1/x", "unix:///a", "wss://[::1]:2/mqtt?a", "mqtt://a:b:c@@h", "ws://%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := parseURL(raw)
		if err != nil {
			return
		}
		if s.address == "" || s.scheme == "" {
			t.Fatalf("%q: nowhere to go", raw)
		}
		if len(s.password) > 8 && strings.Contains(s.String(), string(s.password)) && !strings.Contains(s.address+s.path, string(s.password)) {
			t.Fatalf("%q: password in %q", raw, s)
		}
	})
}
