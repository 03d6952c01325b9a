package delivery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// TestChurn cuts and takes over the connection of a persistent subscriber again and again while
// two publishers send. Acknowledgements come in order, nothing is missing, first deliveries
// are in order, repeats carry DUP, and at QoS 2 nothing is repeated at all.
func TestChurn(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		for _, version := range []byte{wire.V311, wire.V5} {
			for _, disk := range []bool{false, true} {
				t.Run(fmt.Sprintf("qos %d version %d disk %t", qos, version, disk), func(t *testing.T) {
					t.Parallel()
					churn(t, qos, version, disk)
				})
			}
		}
	}
}

const (
	churnMessages = 1500
	churnWindow   = 200
)

func churn(t *testing.T, qos, version byte, disk bool) {
	var opts []brokertest.Option
	if disk {
		opts = append(opts, brokertest.WithStore(t.TempDir()))
	}
	b := brokertest.Start(t, opts...)
	s := &churned{qos: qos, version: version, next: map[string]int{}, held: map[uint16]bool{}, rng: rand.New(rand.NewPCG(uint64(qos), uint64(version)))}
	require.NoError(t, s.connect(t, b, true))

	var wg sync.WaitGroup
	errs := make(chan error, 2)
	for i, transport := range []string{"tcp", "memory"} {
		p := wt.New(t, b.Dial(t, transport), version)
		p.Connect(wt.Connect{ClientID: "p" + strconv.Itoa(i)})
		wg.Go(func() { errs <- churnPublish(p, qos, "c/"+strconv.Itoa(i)) })
	}
	for s.total() < 2*churnMessages {
		require.NoError(t, s.live(t, b))
	}
	wg.Wait()
	for range 2 {
		require.NoError(t, <-errs)
	}
}

// churnPublish sends the messages of one topic, churnWindow at a time, and checks the order of
// the acknowledgements.
func churnPublish(p *wt.Conn, qos byte, topic string) error {
	sent, acked, done := 0, 0, 0
	for done < churnMessages {
		var out [][]byte
		for sent < churnMessages && sent-done < churnWindow {
			sent++
			out = append(out, wt.Publish{Topic: topic, Payload: strconv.Itoa(sent), QoS: qos, ID: uint16(sent)}.Bytes(p.Version))
		}
		if len(out) > 0 {
			if err := p.TrySend(out...); err != nil {
				return err
			}
		}
		a, err := p.TryNext()
		switch {
		case err != nil:
			return err
		case a.Code >= 0x80:
			return fmt.Errorf("%s: %s", topic, a)
		case a.Type == wt.PUBACK || a.Type == wt.PUBREC:
			if acked++; int(a.ID) != acked {
				return fmt.Errorf("%s: %s, but %d was sent before", topic, a, acked)
			}
			if a.Type == wt.PUBACK {
				done++
			} else if err := p.TrySend(wt.Ack(wt.PUBREL, a.ID)); err != nil {
				return err
			}
		case a.Type == wt.PUBCOMP:
			done++
		default:
			return fmt.Errorf("%s: got %s", topic, a)
		}
	}
	return nil
}

// churned is the subscriber. It keeps its half of the session state.
type churned struct {
	qos, version byte
	rng          *rand.Rand
	c            *wt.Conn
	next         map[string]int  // last message of each topic
	held         map[uint16]bool // QoS 2 ids from PUBLISH to PUBREL
}

func (s *churned) total() int {
	n := 0
	for _, v := range s.next {
		n += v
	}
	return n
}

func (s *churned) connect(t *testing.T, b *brokertest.Broker, first bool) error {
	transport := []string{"tcp", "memory"}[s.rng.IntN(2)]
	s.c = wt.New(t, b.Dial(t, transport), s.version)
	if err := s.c.TrySend(kept("s").Bytes(s.version)); err != nil {
		return err
	}
	p, err := s.c.TryNext()
	if err != nil {
		return err
	}
	if p.Type != wt.CONNACK || p.Code != 0 || p.Present == first {
		return fmt.Errorf("got %s", p)
	}
	if first {
		s.c.Subscribe(wt.Filter{Name: "c/+", Opts: s.qos})
	}
	return nil
}

// live reads for a while, and ends with a connection that is cut or taken over.
func (s *churned) live(t *testing.T, b *brokertest.Broker) error {
	for range 1 + s.rng.IntN(300) {
		if s.total() == 2*churnMessages {
			return nil
		}
		p, err := s.c.TryNext()
		if err != nil {
			return err
		}
		if err := s.handle(p); err != nil {
			return err
		}
	}
	if s.rng.IntN(2) == 0 {
		s.c.Drop()
	}
	return s.connect(t, b, false)
}

func (s *churned) handle(p wt.Packet) error {
	switch p.Type {
	case wt.PUBREL:
		delete(s.held, p.ID)
		return s.c.TrySend(wt.Ack(wt.PUBCOMP, p.ID))
	case wt.PUBLISH:
	default:
		return fmt.Errorf("got %s", p)
	}
	n, err := strconv.Atoi(p.Payload)
	if err != nil || !strings.HasPrefix(p.Topic, "c/") {
		return errors.Join(fmt.Errorf("got %s", p), err)
	}
	switch last := s.next[p.Topic]; {
	case p.QoS == 2 && s.held[p.ID]:
		if !p.Dup {
			return fmt.Errorf("a repeat without DUP: %s", p)
		}
		return s.c.TrySend(wt.Ack(wt.PUBREC, p.ID))
	case n == last+1:
		s.next[p.Topic] = n
	case n <= last && p.QoS == 1 && p.Dup:
	default:
		return fmt.Errorf("after %d: %s", last, p)
	}
	if p.QoS == 1 {
		return s.c.TrySend(wt.Ack(wt.PUBACK, p.ID))
	}
	s.held[p.ID] = true
	return s.c.TrySend(wt.Ack(wt.PUBREC, p.ID))
}
