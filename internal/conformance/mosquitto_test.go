package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// mosquitto starts a Mosquitto binary for each setting that is asked for. It is how the suite
// itself is checked.
type mosquitto struct {
	tcp, ws  string
	strict   bool // run checks in spite of known deviations
	variants map[string]*mosquitto
}

// settings are what Mosquitto is told for each setting; there is none for a short keep alive,
// since it takes no less than ten seconds.
var settings = map[string]string{
	plain:    "",
	qos1:     "max_qos 1\n",
	noRetain: "retain_available false\n",
	narrow:   "max_topic_alias 3\nmax_packet_size 2048\nmax_inflight_messages 3\n",
}

func newMosquitto(t testing.TB, bin string) target {
	path, err := exec.LookPath(bin)
	require.NoError(t, err)
	m := &mosquitto{variants: map[string]*mosquitto{}, strict: os.Getenv("TARSD_CONFORMANCE_ALL") != ""}
	m.start(t, path, settings[plain])
	for name, text := range settings { // all at once, while no test takes ports
		if name != plain {
			v := &mosquitto{}
			v.start(t, path, text)
			m.variants[name] = v
		}
	}
	return m
}

// freePort is a port for a Mosquitto, which cannot be given a listener.
func freePort(t testing.TB) string {
	addr, err := daemon.FreeAddr()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	return port
}

// start runs a Mosquitto until the test ends, with listeners that have the setting.
func (m *mosquitto) start(t testing.TB, bin, setting string) {
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	for range 5 {
		tcp, ws := freePort(t), freePort(t)
		m.tcp, m.ws = "127.0.0.1:"+tcp, "ws://127.0.0.1:"+ws+"/mqtt"
		text := fmt.Sprintf("log_dest stderr\npersistence false\nallow_anonymous true\nset_tcp_nodelay true\n"+
			"listener %s 127.0.0.1\n%slistener %s 127.0.0.1\nprotocol websockets\n%s", tcp, setting, ws, setting)
		require.NoError(t, os.WriteFile(conf, []byte(text), 0o600))
		if running(t, exec.Command(bin, "-c", conf)) {
			return
		}
	}
	t.Fatal("Mosquitto did not start")
}

// running starts the process and waits until it says that it runs, or ends.
func running(t testing.TB, cmd *exec.Cmd) bool {
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), " running") {
			go func() { _, _ = io.Copy(io.Discard, log) }() // ends with the process
			return true
		}
		t.Log(lines.Text())
	}
	return false
}

func (m *mosquitto) Transports() []string { return []string{"tcp", "ws"} }
func (m *mosquitto) WebSocket() string    { return m.ws }

func (m *mosquitto) Variant(_ testing.TB, name string) target {
	if v := m.variants[name]; v != nil {
		return v
	}
	return nil
}

func (m *mosquitto) Dial(t testing.TB, transport string) net.Conn {
	t.Helper()
	if transport == "ws" {
		return dialWebSocket(t, m.ws)
	}
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", m.tcp)
	require.NoError(t, err)
	return c
}

// dialWebSocket is a WebSocket as a byte stream; each Write is one message.
func dialWebSocket(t testing.TB, url string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	c, resp, err := d.DialContext(ctx, url, nil)
	require.NoError(t, err)
	_ = resp.Body.Close()
	return &wsConn{Conn: c}
}

type wsConn struct {
	*websocket.Conn
	rest []byte
}

func (c *wsConn) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		_, b, err := c.ReadMessage()
		if err != nil {
			return 0, err
		}
		c.rest = b
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *wsConn) Write(p []byte) (int, error) {
	return len(p), c.WriteMessage(websocket.BinaryMessage, p)
}

func (c *wsConn) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// deviation is a check that Mosquitto 2.0.11 does not pass, and why that is Mosquitto's doing.
type deviation struct {
	version byte // 0: both
	check   string
	why     string
}

// deviations is what is left when the suite runs against Mosquitto 2.0.11.
var deviations = []deviation{
	{0, "wrong reserved flags close", "flags of packets other than SUBSCRIBE, UNSUBSCRIBE, PUBREL and DISCONNECT are not looked at"},
	{0, "malformed packets close", "surplus bytes in PUBACK and PINGREQ, and a PINGRESP from a client, are accepted"},
	{0, "silence beyond keep alive closes as a failure", "keep alive is looked at every five seconds"},
	{0, "a protocol error publishes the Will", "a second CONNECT closes, but loses the Will"},
	{0, "a repeated QoS 2 message is not delivered again", "the third copy of an unreleased message is a protocol error to it"},
	{0, "a text frame closes", "text frames are taken as MQTT"},
	{wt.V311, "overlapping filters deliver at the highest QoS", "one copy is sent, at the QoS of the filter that matched first"},
	{wt.V5, "DISCONNECT with code 4 publishes the Will", "over WebSocket the connection stays open and there is no Will"},
	{wt.V5, "what follows a refused CONNECT is not looked at", "over WebSocket packets behind it get a DISCONNECT"},
	{wt.V5, "a malformed CONNECT closes", "authentication data without a method is accepted"},
	{wt.V5, "no DISCONNECT before CONNACK", "the same malformed CONNECT"},
	{wt.V5, "a second connection takes over", "the old connection is closed without a DISCONNECT"},
	{wt.V5, "the server's DISCONNECT has a code and no session expiry", "flags of PINGREQ are not looked at; none at a take-over"},
	{wt.V5, "the server keeps to the client's Receive Maximum", "after the first PUBACK three more messages leave at once"},
	{wt.V5, "a client beyond the server's Receive Maximum is cut off", "the message is refused with 0x97, the connection stays"},
	{wt.V5, "the narrow Receive Maximum is announced and held", "the same"},
	{wt.V5, "a packet beyond the server's maximum is refused", "the maximum is held against the remaining length, not the packet"},
	{wt.V5, "an oversized message counts as sent", "it is discarded, but its place in the send quota is not given back"},
	{wt.V5, "a message that was sent does not expire", "a message in flight is dropped at reconnect when it has expired"},
	{wt.V5, "the end of the session cuts the delay short", "the Will waits for its delay although the session has ended"},
	{wt.V5, "a subscription identifier from a client closes", "it is accepted"},
	{wt.V5, "payload format 2 closes", "it is accepted"},
	{wt.V5, "wildcards in a response topic close", "they are accepted"},
	{wt.V5, "no local on a shared subscription closes", "it is granted"},
	{wt.V5, "a shared subscription gets no retained messages", "it gets them"},
	{wt.V5, "a shared filter needs a share name", "$share/ is granted"},
	{wt.V5, "a share name has no wildcard and is followed by a filter", "$share/+/a and $share/#/a are granted"},
}

func (m *mosquitto) Known(version byte, check string) string {
	if m.strict {
		return ""
	}
	for _, d := range deviations {
		if d.check == check && (d.version == 0 || d.version == version) {
			return d.why
		}
	}
	return ""
}
