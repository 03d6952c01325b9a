package esp32_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
	"github.com/tarsd/tarsd/internal/esp32"
)

// offline is a device at real pace whose broker is the least that lets it boot, in a bubble of fake
// time. It gets one command, a bow.
func offline(t *testing.T, poll time.Duration) *esp32.Device {
	d := esp32.Start(t.Context(), esp32.Options{Poll: poll, Dial: func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go serve(ours)
		return theirs, nil
	}})
	t.Cleanup(d.Close)
	return d
}

// serve answers as a broker does and sends a command after the last subscription.
func serve(nc net.Conn) {
	r := rawmqtt.NewReader(nc, 4096)
	subscriptions := 0
	for {
		f, err := r.Next()
		if err != nil {
			return
		}
		var answer []byte
		switch f.Type {
		case rawmqtt.Connect:
			answer = []byte{0x20, 2, 0, 0}
		case rawmqtt.Subscribe:
			answer = []byte{0x90, 3, f.Body[0], f.Body[1], 1}
			if subscriptions++; subscriptions == 3 {
				answer = rawmqtt.AppendPublish(answer, rawmqtt.V311, rawmqtt.Message{Topic: []byte(esp32.TopicTest), Payload: []byte(`{"command":"bow","speed":0.8}`)})
			}
		case rawmqtt.Publish:
			if m, err := f.Message(rawmqtt.V311); err == nil && m.QoS == 1 {
				answer = rawmqtt.AppendAck(nil, rawmqtt.Puback, m.ID)
			}
		}
		if len(answer) > 0 {
			if _, err := nc.Write(answer); err != nil {
				return
			}
		}
	}
}
