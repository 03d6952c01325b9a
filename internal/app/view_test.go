package app

import (
	"bytes"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/services/client"
)

// TestCameraOnTheWebPort goes the whole way: service, topic, feed, viewer.
func TestCameraOnTheWebPort(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir(), "services=camera", "camera.source=test", "camera.fps=30", "camera.jpeg_rate=0"))
	url := "http://" + a.HTTP() + "/camera/"
	require.Eventually(t, a.isReady, 10*time.Second, 10*time.Millisecond)
	before := a.engine.Stats().Subscriptions
	resp, err := http.Get(url + "snapshot")
	require.NoError(t, err)
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode, "%s", b)
	conf, err := jpeg.DecodeConfig(bytes.NewReader(b))
	require.NoError(t, err)
	assert.Equal(t, 640, conf.Width)
	assert.NotEmpty(t, resp.Header.Get("X-Timestamp"))
	assert.NotEmpty(t, resp.Header.Get("X-Frame-Number"))

	resp, err = http.Get(url + "stream?fps=30")
	require.NoError(t, err)
	in := multipart.NewReader(resp.Body, "tarsd-picture")
	for range 5 {
		p, err := in.NextPart()
		require.NoError(t, err)
		b, err := io.ReadAll(p)
		require.NoError(t, err)
		_, err = jpeg.Decode(bytes.NewReader(b))
		require.NoError(t, err)
		assert.Empty(t, p.Header.Get("X-Stale"))
	}
	resp.Body.Close()
	require.Eventually(t, func() bool { return a.engine.Stats().Subscriptions <= before }, 20*time.Second, 20*time.Millisecond,
		"nothing is subscribed when nobody looks")
}

// TestWhoMayLook asks as peers from here and from elsewhere.
func TestWhoMayLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		set            []string
		remote         string
		user, password string
		header         string
		want           int
	}{
		"this machine":                {nil, here, "", "", "", 0},
		"unix socket":                 {nil, "@", "", "", "", 0},
		"this machine, old name":      {nil, here, "tars", "pass", "", 0},
		"this machine, closed":        {[]string{"access.anonymous=false"}, here, "", "", "", 401},
		"this machine, roles":         {[]string{"access.local_roles=device"}, here, "", "", "", 401},
		"elsewhere":                   {nil, there, "", "", "", 401},
		"viewer":                      {nil, there, "anna", "right", "", 0},
		"wrong password":              {nil, there, "anna", "wrong", "", 401},
		"nobody":                      {nil, there, "bob", "right", "", 401},
		"device":                      {nil, there, "esp32", "right", "", 403},
		"bound to client ids":         {nil, there, "bound", "right", "", 403},
		"everybody":                   {[]string{"access.anonymous=true"}, there, "", "", "", 0},
		"through a proxy":             {nil, here, "", "", "203.0.113.9", 401},
		"viewer through a proxy":      {nil, here, "anna", "right", "203.0.113.9", 0},
		"a proxy that says strangely": {nil, here, "", "", "robot", 400},
		"a proxy is not believed":     {nil, there, "", "", "127.0.0.1", 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := begin(t, load(t, t.TempDir(), c.set...))
			for user, ch := range map[string]access.Change{
				"anna":  {Password: []byte("right"), Roles: []string{access.RoleViewer}},
				"esp32": {Password: []byte("right"), Roles: []string{access.RoleDevice}},
				"bound": {Password: []byte("right"), Roles: []string{access.RoleViewer}, ClientIDs: []string{"sat-*"}},
			} {
				if c.user == user {
					require.NoError(t, a.users.Update(t.Context(), user, ch))
				}
			}
			r := httptest.NewRequest(http.MethodGet, "/camera/stream", nil)
			r.RemoteAddr = c.remote
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
			if c.header != "" {
				r.Header.Set("X-Forwarded-For", c.header)
			}
			got, still := a.mayLook(r)
			require.Equal(t, c.want, got)
			if c.user == "anna" && got == 0 {
				assert.True(t, still())
				require.NoError(t, a.users.Update(t.Context(), "anna", access.Change{Roles: []string{access.RoleDevice}}))
				assert.False(t, still(), "a change holds at once")
			}
		})
	}
}

const (
	here  = "127.0.0.1:4000"
	there = "192.168.1.9:4000"
)

func TestFailedLooksAreSlowed(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir()))
	require.NoError(t, a.users.Update(t.Context(), "anna", access.Change{Password: []byte("right"), Roles: []string{access.RoleViewer}}))
	ask := func(password string) int {
		r := httptest.NewRequest(http.MethodGet, "/camera/stream", nil)
		if r.RemoteAddr = there; password != "" {
			r.SetBasicAuth("anna", password)
		}
		code, _ := a.mayLook(r)
		return code
	}
	for range 20 {
		assert.Equal(t, 401, ask(""), "browsers ask without first: no failure")
	}
	t0 := time.Now()
	assert.Zero(t, ask("right"))
	assert.Less(t, time.Since(t0), 2*time.Second)
	codes := map[int]int{}
	for range 8 {
		codes[ask("wrong")]++
	}
	assert.Positive(t, codes[429], "%v", codes)
}

func TestPictureOfAMessage(t *testing.T) {
	t.Parallel()
	jpg := []byte{0xFF, 0xD8, 0xFF, 0xE0}
	prop := func(kv ...string) (out []client.UserProperty) {
		for i := 0; i < len(kv); i += 2 {
			out = append(out, client.UserProperty{Key: kv[i], Value: kv[i+1]})
		}
		return out
	}
	for name, c := range map[string]struct {
		m     client.RawMessage
		ok    bool
		stale bool
		age   time.Duration
	}{
		"bare":          {client.RawMessage{Payload: jpg}, true, false, 0},
		"live":          {client.RawMessage{Payload: jpg, Props: prop("taken", "1764000000.5", "number", "7")}, true, false, 0},
		"stale":         {client.RawMessage{Payload: jpg, Props: prop("stale", "12")}, true, true, 12 * time.Second},
		"never":         {client.RawMessage{Payload: jpg, Props: prop("stale", "+Inf")}, true, true, -1},
		"odd numbers":   {client.RawMessage{Payload: jpg, Props: prop("taken", "NaN", "number", "1e300", "stale", "-1")}, true, true, -1},
		"injection":     {client.RawMessage{Payload: jpg, Props: prop("number", "1\r\nX-Evil: 1")}, true, false, 0},
		"no picture":    {client.RawMessage{Payload: []byte("<svg onload=alert(1)>")}, false, false, 0},
		"empty":         {client.RawMessage{}, false, false, 0},
		"kept and old":  {client.RawMessage{Payload: jpg, Retained: true}, false, false, 0},
		"stale wrongly": {client.RawMessage{Payload: jpg, Props: prop("stale", "soon")}, true, true, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, ok := picture(&c.m)
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.stale, p.Stale)
			assert.Equal(t, c.age, p.Age)
		})
	}
}

// TestCameraElsewhere looks through a process that has the HTTP port and no broker. Pictures are small, since
// a stop waits for the one that is being made, which the race detector makes slow.
func TestCameraElsewhere(t *testing.T) {
	t.Parallel()
	robot := begin(t, load(t, t.TempDir(), "services=camera", "camera.source=test", "camera.width=96", "camera.height=64"))
	desk := begin(t, load(t, t.TempDir(), "services=router", "broker.url="+robot.Listeners()[0]))
	resp, err := http.Get("http://" + desk.HTTP() + "/camera/stream?fps=20")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	off := begin(t, load(t, t.TempDir(), "camera.viewers=0"))
	resp, err = http.Get("http://" + off.HTTP() + "/camera/stream")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 404, resp.StatusCode)
}

// A stop does not wait for those who look: it is in time, and they see an end.
func TestStopEndsStreams(t *testing.T) {
	t.Parallel()
	a, err := Start(t.Context(), Options{Config: load(t, t.TempDir(), "services=camera", "camera.source=test", "camera.width=96", "camera.height=64"), patience: patient})
	require.NoError(t, err)
	resp, err := http.Get("http://" + a.HTTP() + "/camera/stream")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, a.Stop())
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err, "the stream has ended, and was not cut")
}
