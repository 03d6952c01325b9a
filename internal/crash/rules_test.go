package crash

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// TestRules checks the judge itself: each way to fail is seen, and nothing else is.
func TestRules(t *testing.T) {
	t.Parallel()
	type seen struct {
		seq  uint32
		qos  byte
		dup  bool
		flag bool // retain
	}
	reconnect := seen{seq: 1 << 31} // in the same life
	kill := seen{seq: 1<<31 + 1}    // death, birth, connection
	kept := seen{seq: 1<<31 + 2}    // a life that the subscriber misses
	publish := func(n uint32) seen { return seen{seq: 1<<31 + 100 + n} }
	first := func(n uint32) seen { return seen{seq: n, qos: 1} }
	again := func(n uint32) seen { return seen{seq: n, qos: 1, dup: true} }
	for _, tc := range []struct {
		name   string
		qos    byte // of stream and subscription
		resent uint32
		seen   []seen // the last one is judged, the others have to be fine
		want   error
	}{
		{"in order", 1, 0, []seen{publish(2), first(0), first(1)}, nil},
		{"gap", 1, 0, []seen{publish(2), first(1)}, errLost},
		{"never sent", 1, 0, []seen{publish(1), first(0), first(1)}, errGhost},
		{"retain flag", 1, 0, []seen{publish(1), {qos: 1, flag: true}}, errFlag},
		{"wrong qos", 2, 0, []seen{publish(1), first(0)}, errFlag},
		{"twice in one connection", 1, 0, []seen{publish(1), first(0), first(0)}, errUncaused},
		{"twice in one connection with a cause", 1, 1, []seen{publish(1), first(0), first(0)}, nil},
		{"twice over a reconnect", 1, 0, []seen{publish(1), first(0), reconnect, again(0)}, nil},
		{"twice over a reconnect without DUP", 1, 0, []seen{publish(1), first(0), reconnect, first(0)}, errNoDup},
		{"twice over a kill without DUP", 1, 0, []seen{publish(1), first(0), kill, first(0)}, nil},
		{"redelivery out of order", 1, 0, []seen{publish(3), first(0), first(1), reconnect, again(1), again(0)}, errOrder},
		{"redelivery, then new", 1, 0, []seen{publish(3), first(0), reconnect, again(0), again(1), first(2)}, nil},
		{"qos 2 twice", 2, 0, []seen{publish(1), {qos: 2}, kill, {qos: 2, dup: true}}, errTwice},
		{"DUP at once", 1, 0, []seen{publish(1), again(0)}, errDup},
		{"DUP may be true", 1, 0, []seen{publish(1), kill, again(0)}, nil},
		{"DUP on what came while away", 1, 0, []seen{publish(1), first(0), kill, kept, publish(1), again(1)}, errDup},
		{"offline queue", 1, 0, []seen{publish(1), first(0), kill, kept, publish(2), first(1), first(2)}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newLedger().add(&stream{topic: "t", pub: "p", qos: tc.qos})
			for i := range tc.resent {
				s.resent[i] = struct{}{}
			}
			r := newReading(s, tc.qos)
			r.birth()
			r.attach(false)
			for i, v := range tc.seen {
				var err error
				switch {
				case v == reconnect:
					r.attach(true)
				case v == kill:
					r.death()
					r.birth()
					r.attach(false)
				case v == kept:
					r.birth()
				case v.seq > 1<<31:
					s.sent += v.seq - publish(0).seq
				default:
					_, err = r.deliver(v.seq, rawmqtt.Message{QoS: v.qos, Dup: v.dup, Retain: v.flag})
				}
				if i < len(tc.seen)-1 || tc.want == nil {
					require.NoError(t, err, "step %d", i)
					continue
				}
				assert.ErrorIs(t, err, tc.want)
			}
		})
	}
}

func TestRetainedAllowed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		s        *stream
		from, to int64
		none     bool
	}{
		{"nothing sent", &stream{qos: 1}, -1, -1, true},
		{"first one in flight", &stream{qos: 1, sent: 1}, -1, 0, true},
		{"acknowledged", &stream{qos: 1, sent: 5, acked: 3}, 2, 4, false},
		{"qos 2 counts when complete", &stream{qos: 2, sent: 5, acked: 3, done: 1}, 0, 4, false},
		{"cleared", &stream{qos: 1, erases: true, sent: 3, acked: 3}, 2, 2, true},
		{"clearing in flight", &stream{qos: 1, erases: true, sent: 3, acked: 2}, 1, 2, true},
		{"set again after clearing", &stream{qos: 1, erases: true, sent: 4, acked: 4}, 3, 3, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			from, to, none := tc.s.retainedAllowed()
			assert.Equal(t, []any{tc.from, tc.to, tc.none}, []any{from, to, none})
		})
	}
}

// TestPayload proves that damage to a payload shows.
func TestPayload(t *testing.T) {
	t.Parallel()
	l := newLedger()
	s := l.add(&stream{topic: "t", pub: "p", qos: 1})
	p := s.payload(nil, 7, 100)
	for name, m := range map[string]rawmqtt.Message{
		"other topic": {Topic: []byte("u"), Payload: p},
		"cut":         {Topic: []byte("t"), Payload: p[:99]},
		"empty":       {Topic: []byte("t")},
	} {
		_, _, err := l.parse(m)
		assert.Error(t, err, name)
	}
	for i := range p {
		q := append([]byte(nil), p...)
		q[i] ^= 0x10
		_, _, err := l.parse(rawmqtt.Message{Topic: []byte("t"), Payload: q})
		assert.Error(t, err, "byte %d", i)
	}
	got, seq, err := l.parse(rawmqtt.Message{Topic: []byte("t"), Payload: p})
	require.NoError(t, err)
	assert.Equal(t, s, got)
	assert.Equal(t, uint32(7), seq)
}
