package app

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	neturl "net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/web"
)

// TestSessionOfThePage signs in as a browser does, and comes back over the WebSocket with the cookie alone.
func TestSessionOfThePage(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir(), "access.anonymous=false"))
	require.NoError(t, a.users.Update(t.Context(), "anna", access.Change{Password: []byte("right"), Roles: []string{access.RolePage}}))
	url := "http://" + a.HTTP() + web.SessionPath
	base := &neturl.URL{Scheme: "http", Host: a.HTTP(), Path: "/"}
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	call := func(method, body string) (int, web.Who) {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		require.NoError(t, err)
		resp, err := browser.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		var who web.Who
		if resp.StatusCode == http.StatusOK {
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&who))
		}
		return resp.StatusCode, who
	}
	// tab is a client that comes with the browser's cookies and no user name, and the return code that it gets.
	tab := func() (*websocket.Conn, byte) {
		t.Helper()
		d := websocket.Dialer{Subprotocols: []string{"mqtt"}, Jar: jar}
		ws, resp, err := d.DialContext(t.Context(), "ws://"+a.HTTP()+"/mqtt", nil)
		require.NoError(t, err)
		resp.Body.Close()
		t.Cleanup(func() { ws.Close() })
		require.NoError(t, ws.WriteMessage(websocket.BinaryMessage, append([]byte{0x10, 14, 0, 4}, "MQTT\x04\x02\x00\x3c\x00\x02p1"...)))
		_, b, err := ws.ReadMessage()
		require.NoError(t, err)
		require.True(t, bytes.HasPrefix(b, []byte{0x20, 2}))
		return ws, b[3]
	}
	mqtt := func() byte {
		t.Helper()
		ws, code := tab()
		ws.Close()
		return code
	}
	status, _ := call("GET", "")
	require.Equal(t, 401, status)
	require.Equal(t, byte(5), mqtt(), "not authorized")
	status, _ = call("POST", `{"user":"anna","password":"wrong"}`)
	require.Equal(t, 401, status)

	status, who := call("POST", `{"user":"anna","password":"right"}`)
	require.Equal(t, 200, status)
	assert.Equal(t, "anna", who.User)
	assert.Equal(t, []string{"page"}, who.Roles)
	assert.Subset(t, who.May, []string{"dialogue/text", "audio/in/+", "movement/stop"})
	assert.NotContains(t, who.May, "stt/final")
	require.Equal(t, byte(0), mqtt())

	require.NoError(t, a.users.Update(t.Context(), "anna", access.Change{Roles: []string{access.RoleViewer}}))
	status, _ = call("GET", "")
	require.Equal(t, 401, status, "a change of the user ends its sessions")
	require.Equal(t, byte(5), mqtt())

	status, who = call("POST", `{"user":"anna","password":"right"}`)
	require.Equal(t, 200, status)
	assert.Empty(t, who.May)
	other, code := tab()
	require.Equal(t, byte(0), code)
	look := httptest.NewRequest("GET", "/camera/stream", nil)
	look.RemoteAddr = "127.0.0.1:4000"
	for _, c := range jar.Cookies(base) {
		look.AddCookie(c)
	}
	status, current := a.mayLook(look)
	require.Zero(t, status)
	require.True(t, current())
	status, _ = call("DELETE", "")
	require.Equal(t, 204, status)
	require.False(t, current(), "the camera's stream ends with the session")
	require.NoError(t, other.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, _, err = other.ReadMessage()
	require.True(t, websocket.IsUnexpectedCloseError(err) || errors.Is(err, io.EOF), "other tabs end with the session: %v", err)
	status, _ = call("GET", "")
	require.Equal(t, 401, status)
	require.Equal(t, byte(5), mqtt())
}

// TestSessionOfNobody: who may come in without a user needs no session, and is told what it may do.
func TestSessionOfNobody(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir()))
	resp, err := http.Get("http://" + a.HTTP() + web.SessionPath)
	require.NoError(t, err)
	defer resp.Body.Close()
	var who web.Who
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&who))
	assert.Empty(t, who.User)
	assert.Equal(t, []string{"admin"}, who.Roles)
	assert.Contains(t, who.May, "stt/final")
}
