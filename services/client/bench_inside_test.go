package client

import (
	"bytes"
	"context"
	"testing"

	"github.com/eclipse/paho.golang/packets"
	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/contract"
)

// BenchmarkReceive is what a message costs the client from the connection's bytes to the handler,
// without a broker.
func BenchmarkReceive(b *testing.B) {
	e := contract.Envelope{ID: NewID(), TS: 1, Source: "stt"}
	in, err := contract.STTFinal.Encode(e, contract.FinalTranscript{MessageID: NewID(), Text: "what is the weather like on the way to the station", Lang: "en", TS: 1, IsFinal: true})
	if err != nil {
		b.Fatal(err)
	}
	for name, subscribe := range map[string]func(*Client, func()) error{
		"raw": func(c *Client, done func()) error {
			_, err := c.SubscribeRaw("stt/final", 0, func(context.Context, RawMessage) error { done(); return nil })
			return err
		},
		"typed": func(c *Client, done func()) error {
			t := contract.STTFinal
			t.Dedup = false // all messages are the same
			_, err := Subscribe(c, t, func(context.Context, Message[contract.FinalTranscript]) error { done(); return nil })
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			o := Options{Dial: newFake(b).dial, ID: "x", Log: zerolog.Nop()}
			if _, err := o.complete(); err != nil {
				b.Fatal(err)
			}
			c := bare(b.Context(), o)
			got := make(chan struct{}, 1)
			if err := subscribe(c, func() { got <- struct{}{} }); err != nil {
				b.Fatal(err)
			}
			frame := (&publication{topic: "stt/final", payload: in}).appendTo(nil, 0, 0, false, 0)
			r := bytes.NewReader(nil)
			l := newLink(c, bytesConn{r: r})
			l.up = true
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(frame)
				_, _ = packets.ReadPacket(l)
				<-got
			}
			c.subs[0].stop(true)
			c.subs[0].workers.Wait()
			_ = l.Close()
		})
	}
}

// BenchmarkEncode is the encoding of a PUBLISH with a turn.
func BenchmarkEncode(b *testing.B) {
	p := publication{topic: "stt/final", payload: make([]byte, 300), props: []UserProperty{{"turn", NewID()}, {"origin", "page"}}}
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = p.appendTo(buf[:0], 1, 1, false, 0)
	}
}
