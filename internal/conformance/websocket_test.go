package conformance

import (
	"context"
	"net/http"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// webSocketChecks are chapter 6; frames matter here, so they use the WebSocket itself.
func webSocketChecks() []check {
	return []check{
		{v3: "6.0.0-1", v5: "6.0.0-1", what: "a text frame closes", ws: true, run: textFrame},
		{v3: "6.0.0-1", v5: "6.0.0-1", what: "the server sends binary frames", ws: true, run: binaryFrames},
		{v3: "6.0.0-2", v5: "6.0.0-2", what: "packets and frames need not coincide", ws: true, run: frames},
		{v3: "6.0.0-4", v5: "6.0.0-4", what: "the subprotocol is mqtt", ws: true, run: subprotocol},
	}
}

// webSocket opens one that offers subprotocols.
func (e *env) webSocket(protocols ...string) (*websocket.Conn, *http.Response) {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), 10*time.Second)
	defer cancel()
	d := websocket.Dialer{Subprotocols: protocols}
	c, resp, err := d.DialContext(ctx, e.target.WebSocket(), nil)
	require.NoError(e, err)
	_ = resp.Body.Close()
	e.Cleanup(func() { _ = c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(wt.DefaultTimeout))
	return c, resp
}

func textFrame(e *env) {
	c, _ := e.webSocket("mqtt")
	require.NoError(e, c.WriteMessage(websocket.BinaryMessage, e.options("a").Bytes(e.version)))
	_, _, err := c.ReadMessage()
	require.NoError(e, err)
	require.NoError(e, c.WriteMessage(websocket.TextMessage, wt.Ping()))
	for err == nil {
		var b []byte
		_, b, err = c.ReadMessage()
		if err == nil {
			require.NotEqual(e, wt.PINGRESP<<4, b[0], "the text frame was taken as MQTT")
		}
	}
}

func binaryFrames(e *env) {
	c, _ := e.webSocket("mqtt")
	require.NoError(e, c.WriteMessage(websocket.BinaryMessage, append(e.options("a").Bytes(e.version), wt.Ping()...)))
	typ, _, err := c.ReadMessage()
	require.NoError(e, err)
	assert.Equal(e, websocket.BinaryMessage, typ)
}

func frames(e *env) {
	c, _ := e.webSocket("mqtt")
	all := append(e.options("a").Bytes(e.version), wt.Ping()...)
	all = append(all, wt.Ping()...)
	for _, cut := range [][2]int{{0, 1}, {1, 5}, {5, len(all) - 3}, {len(all) - 3, len(all)}} {
		require.NoError(e, c.WriteMessage(websocket.BinaryMessage, all[cut[0]:cut[1]]))
	}
	var got []byte
	for n := 0; n < 2; {
		_, b, err := c.ReadMessage()
		require.NoError(e, err)
		got = append(got, b...)
		n = 0
		for i := 0; i+1 < len(got); i += 2 + int(got[i+1]) { // all of these are short
			if got[i] == wt.PINGRESP<<4 {
				n++
			}
		}
	}
	assert.Equal(e, wt.CONNACK<<4, got[0])
}

func subprotocol(e *env) {
	_, resp := e.webSocket("mqtt")
	assert.Equal(e, "mqtt", resp.Header.Get("Sec-WebSocket-Protocol"))
	_, resp = e.webSocket("other", "mqtt")
	assert.Equal(e, "mqtt", resp.Header.Get("Sec-WebSocket-Protocol"))
}
