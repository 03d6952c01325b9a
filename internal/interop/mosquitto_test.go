package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var mosquittoVersions = []string{"mqttv31", "mqttv311", "mqttv5"}

// tool is one of the command line clients, aimed at the shared broker, or the test skips.
func tool(t *testing.T, program, version string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed (package mosquitto-clients)", program)
	}
	host, port := hostPort(t, shared.tcp)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, path, append([]string{"-h", host, "-p", port, "-V", version}, args...)...)
}

// pub publishes with mosquitto_pub.
func pub(t *testing.T, version string, args ...string) {
	t.Helper()
	out, err := tool(t, "mosquitto_pub", version, args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// subscriber is a running mosquitto_sub.
type subscriber struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
	early []string // came before it was known to be subscribed
}

// sub starts mosquitto_sub and returns when it is subscribed: a retained message for the last
// of its filters tells that, since what -d prints stays in its buffer. It prints each message
// as its topic, QoS, retain flag and payload.
func sub(t *testing.T, version string, args ...string) *subscriber {
	t.Helper()
	ready := name("ready/")
	pub(t, "mqttv311", "-t", ready, "-m", "ready", "-r", "-q", "1")
	cmd := tool(t, "mosquitto_sub", version, append(append([]string{"-F", "%t|%q|%r|%p"}, args...), "-t", ready)...)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &subscriber{t: t, cmd: cmd, lines: bufio.NewScanner(out)}
	s.lines.Buffer(nil, 4<<20)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for first := ""; !strings.HasPrefix(first, ready+"|"); {
		if first = s.next(); !strings.HasPrefix(first, ready+"|") {
			s.early = append(s.early, first) // retained messages of the other filters
		}
	}
	pub(t, "mqttv311", "-t", ready, "-n", "-r", "-q", "1")
	require.Contains(t, s.next(), ready)
	return s
}

// line is the next message.
func (s *subscriber) line() string {
	s.t.Helper()
	if len(s.early) > 0 {
		l := s.early[0]
		s.early = s.early[1:]
		return l
	}
	return s.next()
}

func (s *subscriber) next() string {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatal("mosquitto_sub ended")
	}
	return s.lines.Text()
}

// eachVersion runs a test for every protocol version of the tools.
func eachVersion(t *testing.T, f func(t *testing.T, version string)) {
	t.Parallel()
	for _, v := range mosquittoVersions {
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			f(t, v)
		})
	}
}

func TestMosquittoQoS(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		topic := name("m/")
		s := sub(t, v, "-t", topic+"/#", "-q", "2")
		for qos := range 3 {
			pub(t, v, "-t", topic+"/a", "-m", fmt.Sprint("hello ", qos), "-q", fmt.Sprint(qos))
			assert.Equal(t, fmt.Sprintf("%s/a|%d|0|hello %d", topic, qos, qos), s.line())
		}
	})
}

// TestMosquittoVersionsMixed has each version publish to each.
func TestMosquittoVersionsMixed(t *testing.T) {
	t.Parallel()
	topic := name("m/")
	var subs []*subscriber
	for _, v := range mosquittoVersions {
		subs = append(subs, sub(t, v, "-t", topic, "-q", "1"))
	}
	for _, v := range mosquittoVersions {
		pub(t, v, "-t", topic, "-m", v, "-q", "1")
		for _, s := range subs {
			assert.Equal(t, topic+"|1|0|"+v, s.line())
		}
	}
}

func TestMosquittoRetained(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		topic := name("m/")
		pub(t, v, "-t", topic+"/a", "-m", "kept", "-r", "-q", "1")
		pub(t, v, "-t", topic+"/end", "-m", "end", "-r", "-q", "1")
		s := sub(t, v, "-t", topic+"/a", "-q", "1")
		assert.Equal(t, topic+"/a|1|1|kept", s.line())
		pub(t, v, "-t", topic+"/a", "-n", "-r", "-q", "1")
		assert.Equal(t, topic+"/a|1|0|", s.line())
		out, err := tool(t, "mosquitto_sub", v, "-t", topic+"/a", "-t", topic+"/end", "-C", "1", "-v").Output()
		require.NoError(t, err)
		assert.Equal(t, topic+"/end end\n", string(out))
	})
}

func TestMosquittoWill(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		topic := name("m/")
		watch := sub(t, v, "-t", topic+"/will", "-q", "1")
		c := sub(t, v, "-t", topic+"/x", "--will-topic", topic+"/will", "--will-payload", "gone", "--will-qos", "1", "--will-retain")
		require.NoError(t, c.cmd.Process.Kill())
		assert.Equal(t, topic+"/will|1|0|gone", watch.line())
		late := sub(t, v, "-t", topic+"/will", "-q", "1")
		assert.Equal(t, topic+"/will|1|1|gone", late.line())
		pub(t, v, "-t", topic+"/will", "-n", "-r")
	})
}

func TestMosquittoKeptSession(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		topic, id := name("m/"), name("m")
		args := []string{"-c", "-i", id, "-q", "1", "-t", topic}
		if v == "mqttv5" {
			args = append(args, "-x", "300")
		}
		out, err := tool(t, "mosquitto_sub", v, append(args, "-E")...).CombinedOutput()
		require.NoError(t, err, "%s", out)
		for i := range 5 {
			pub(t, v, "-t", topic, "-m", fmt.Sprint(i), "-q", "1")
		}
		out, err = tool(t, "mosquitto_sub", v, append(args, "-C", "5")...).Output()
		require.NoError(t, err)
		assert.Equal(t, "0\n1\n2\n3\n4\n", string(out))
	})
}

func TestMosquittoManyLines(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		if mosquitto != "" && v == "mqttv5" {
			t.Skip("Mosquitto 2.0.11 sends more than the Receive Maximum of mosquitto_sub, which then ends")
		}
		topic := name("m/")
		s := sub(t, v, "-t", topic, "-q", "2")
		var in bytes.Buffer
		for i := range 500 {
			fmt.Fprintln(&in, i)
		}
		p := tool(t, "mosquitto_pub", v, "-t", topic, "-l", "-q", "2")
		p.Stdin = &in
		out, err := p.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for i := range 500 {
			require.Equal(t, fmt.Sprintf("%s|2|0|%d", topic, i), s.line())
		}
	})
}

func TestMosquittoLargePayload(t *testing.T) {
	eachVersion(t, func(t *testing.T, v string) {
		topic, payload := name("m/"), strings.Repeat("0123456789", 100_000)
		s := sub(t, v, "-t", topic, "-q", "1")
		p := tool(t, "mosquitto_pub", v, "-t", topic, "-s", "-q", "1")
		p.Stdin = strings.NewReader(payload)
		require.NoError(t, p.Run())
		assert.Equal(t, topic+"|1|0|"+payload, s.line())
	})
}

func TestMosquittoProperties(t *testing.T) {
	t.Parallel()
	topic := name("m/")
	s := sub(t, "mqttv5", "-t", topic, "-q", "1", "-D", "subscribe", "subscription-identifier", "7", "-F", "%t|%C|%R|%D|%P|%p")
	pub(t, "mqttv5", "-t", topic, "-m", "x", "-q", "1",
		"-D", "publish", "content-type", "text/plain", "-D", "publish", "response-topic", "answer",
		"-D", "publish", "correlation-data", "id", "-D", "publish", "user-property", "k", "v", "-D", "publish", "message-expiry-interval", "60")
	assert.Equal(t, topic+"|text/plain|answer|id|k:v|x", s.line())
}

func TestMosquittoShared(t *testing.T) {
	t.Parallel()
	topic := name("m/")
	filter := "$share/g" + strings.ReplaceAll(topic, "/", "") + "/" + topic
	one := sub(t, "mqttv5", "-t", filter, "-t", topic+"/end", "-q", "1")
	two := sub(t, "mqttv5", "-t", filter, "-t", topic+"/end", "-q", "1")
	for i := range 10 {
		pub(t, "mqttv5", "-t", topic, "-m", fmt.Sprint(i), "-q", "1")
	}
	pub(t, "mqttv5", "-t", topic+"/end", "-m", "end", "-q", "1")
	var got []string
	for _, s := range []*subscriber{one, two} {
		for {
			l := s.line()
			if strings.HasPrefix(l, topic+"/end|") {
				break
			}
			got = append(got, l[strings.LastIndexByte(l, '|')+1:])
		}
	}
	assert.ElementsMatch(t, strings.Fields("0 1 2 3 4 5 6 7 8 9"), got)
}

func TestMosquittoRequestResponse(t *testing.T) {
	t.Parallel()
	topic := name("m/")
	server := sub(t, "mqttv5", "-t", topic+"/ask", "-q", "1")
	rr := tool(t, "mosquitto_rr", "mqttv5", "-t", topic+"/ask", "-e", topic+"/answer", "-m", "what?", "-q", "1")
	var out bytes.Buffer
	rr.Stdout = &out
	require.NoError(t, rr.Start())
	assert.Equal(t, topic+"/ask|1|0|what?", server.line())
	pub(t, "mqttv5", "-t", topic+"/answer", "-m", "that", "-q", "1")
	require.NoError(t, rr.Wait())
	assert.Equal(t, "that\n", out.String())
}
