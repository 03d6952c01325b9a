package main

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"remote", []string{"-addr", "192.0.2.1:1883"}, "no loopback address"},
		{"no port", []string{"-addr", "127.0.0.1"}, "-addr"},
		{"nothing in flight", []string{"-inflight", "0"}, "out of range"},
		{"fewer messages than in flight", []string{"-count", "5"}, "out of range"},
		{"unknown", []string{"-frob"}, "frob"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			assert.ErrorContains(t, run(t.Context(), tc.args), tc.want)
		})
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	assert.InDelta(t, 2.0, median([]float64{3, 1, 2}), 0)
	assert.InDelta(t, 2.5, median([]float64{4, 1, 2, 3}), 0)
}

// TestPublishWindow plays the broker: never more in flight than allowed, and every
// acknowledgement is waited for.
func TestPublishWindow(t *testing.T) {
	t.Parallel()
	const window, count = 10, 500
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	most := make(chan int, 1)
	go func() { // ends with the connection
		nc, err := l.Accept()
		if err != nil {
			close(most)
			return
		}
		defer nc.Close()
		r := rawmqtt.NewReader(nc, 4096)
		highest, waiting := 0, []uint16{}
		for {
			f, err := r.Next()
			if err != nil {
				most <- highest
				return
			}
			switch f.Type {
			case rawmqtt.Connect:
				_, _ = nc.Write([]byte{rawmqtt.Connack << 4, 2, 0, 0})
			case rawmqtt.Publish:
				m, err := f.Message(rawmqtt.V311)
				if err != nil {
					return
				}
				waiting = append(waiting, m.ID)
				highest = max(highest, len(waiting))
				if len(waiting) < window && r.Buffered() > 0 {
					continue
				}
				for _, id := range waiting {
					_, _ = nc.Write(rawmqtt.AppendAck(nil, rawmqtt.Puback, id))
				}
				waiting = waiting[:0]
			}
		}
	}()
	c, err := rawmqtt.Dial(t.Context(), l.Addr().String(), rawmqtt.ConnectOptions{ID: "p", Clean: true})
	require.NoError(t, err)
	require.NoError(t, config{Count: count, Inflight: window, Size: 16}.publish(c, "t"))
	c.Close()
	assert.LessOrEqual(t, <-most, window)
}
