package observe

import (
	"context"
	"maps"
	"math"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// sysInterval is Mosquitto's default sys_interval. The timer always runs: one pass takes some
// tens of microseconds of CPU and writes nothing to disk, which is less than what it would cost
// to know at every moment whether somebody subscribes, and a new subscriber finds the values
// retained. A topic is published only when its value changed, so an idle broker publishes the
// uptime and nothing else.
const sysInterval = 10 * time.Second

const (
	sysPrefix    = "$SYS/broker/"
	droppedTopic = "$SYS/tarsd/dropped/" // and the reason
)

// SysOptions of NewSys. Engine must be set.
type SysOptions struct {
	Engine   Engine
	Version  string        // of the program, such as "1.2.0"
	Interval time.Duration // 0 means 10 s
	Expired  func() uint64 // sessions that expired, such as Audit.Expired; nil leaves the topic out
	Sockets  func() uint64 // sockets accepted since the start; nil leaves the topic out
}

// Sys publishes the $SYS topics. Run's goroutine owns all of it.
type Sys struct {
	o       SysOptions
	last    map[string]string // by topic, as published
	loads   []load
	before  sample
	maximum uint64 // largest heap seen
	heap    []metrics.Sample
}

// sample is one reading of all counters.
type sample struct {
	delivery.Stats
	at                   time.Time
	expired, sockets     uint64
	bytesIn, bytesOut    uint64 // payloads of PUBLISH packets
	hasBytes             bool
	heapNow, heapMaximum uint64
}

// load is one family of moving averages below $SYS/broker/load.
type load struct {
	name    string
	counter func(*sample) uint64
	average [3]float64
}

var (
	loadMinutes = [3]float64{1, 5, 15}
	loadNames   = [3]string{"/1min", "/5min", "/15min"}
)

// NewSys makes a publisher; Run starts it.
func NewSys(o SysOptions) *Sys {
	if o.Interval <= 0 {
		o.Interval = sysInterval
	}
	s := &Sys{o: o, last: map[string]string{}, heap: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	s.loads = []load{
		{name: "messages/received", counter: func(v *sample) uint64 { return v.MessagesReceived }},
		{name: "messages/sent", counter: func(v *sample) uint64 { return v.MessagesSent }},
		{name: "publish/dropped", counter: func(v *sample) uint64 { return v.PublishDropped }},
		{name: "publish/received", counter: func(v *sample) uint64 { return v.PublishReceived }},
		{name: "publish/sent", counter: func(v *sample) uint64 { return v.PublishSent }},
		{name: "bytes/received", counter: func(v *sample) uint64 { return v.BytesReceived }},
		{name: "bytes/sent", counter: func(v *sample) uint64 { return v.BytesSent }},
		{name: "connections", counter: func(v *sample) uint64 { return v.Connects + v.Refused }},
	}
	if o.Sockets != nil {
		s.loads = append(s.loads, load{name: "sockets", counter: func(v *sample) uint64 { return v.sockets }})
	}
	return s
}

// Run publishes at once and then every interval, until ctx ends. It returns nil.
func (s *Sys) Run(ctx context.Context) error {
	tick := time.NewTicker(s.o.Interval)
	defer tick.Stop()
	for {
		s.pass(time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pass reads everything and publishes what changed.
func (s *Sys) pass(now time.Time) {
	v := s.read(now)
	s.advance(&v)
	s.before = v
	put := func(name string, n uint64) { s.publish(sysPrefix+name, strconv.FormatUint(n, 10)) }

	s.publish(sysPrefix+"version", "tarsd version "+s.o.Version)
	s.publish(sysPrefix+"uptime", strconv.FormatInt(int64(now.Sub(v.Started)/time.Second), 10)+" seconds")
	connected, total := uint64(v.ClientsConnected), uint64(v.ClientsTotal)
	put("clients/total", total)
	put("clients/connected", connected)
	put("clients/active", connected)
	put("clients/disconnected", total-min(connected, total))
	put("clients/inactive", total-min(connected, total))
	put("clients/maximum", uint64(v.ClientsMaximum))
	if s.o.Expired != nil {
		put("clients/expired", v.expired)
	}
	put("messages/received", v.MessagesReceived)
	put("messages/sent", v.MessagesSent)
	put("messages/inflight", uint64(v.Inflight))
	put("messages/stored", uint64(v.Retained+v.Queued))
	put("store/messages/count", uint64(v.Retained+v.Queued))
	put("store/messages/bytes", uint64(v.RetainedBytes+v.QueuedBytes))
	put("retained messages/count", uint64(v.Retained))
	put("subscriptions/count", uint64(v.Subscriptions))
	put("shared_subscriptions/count", uint64(v.SharedSubscriptions))
	put("publish/messages/received", v.PublishReceived)
	put("publish/messages/sent", v.PublishSent)
	put("publish/messages/dropped", v.PublishDropped)
	if v.hasBytes {
		put("publish/bytes/received", v.bytesIn)
		put("publish/bytes/sent", v.bytesOut)
	}
	put("bytes/received", v.BytesReceived)
	put("bytes/sent", v.BytesSent)
	put("heap/current", v.heapNow)
	put("heap/maximum", v.heapMaximum)
	for i := range s.loads {
		l := &s.loads[i]
		for k, name := range loadNames {
			s.publish(sysPrefix+"load/"+l.name+name, strconv.FormatFloat(l.average[k], 'f', 2, 64))
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(v.Dropped)) {
		s.publish(droppedTopic+level(reason), strconv.FormatUint(v.Dropped[reason], 10))
	}
}

func (s *Sys) read(now time.Time) sample {
	v := sample{Stats: s.o.Engine.Stats(), at: now}
	if s.o.Expired != nil {
		v.expired = s.o.Expired()
	}
	if s.o.Sockets != nil {
		v.sockets = s.o.Sockets()
	}
	if c, ok := s.o.Engine.(byteCounter); ok {
		v.bytesIn, v.bytesOut = c.PublishBytes()
		v.hasBytes = true
	}
	metrics.Read(s.heap) // does not stop the world, unlike ReadMemStats
	if s.heap[0].Value.Kind() == metrics.KindUint64 {
		v.heapNow = s.heap[0].Value.Uint64()
	}
	s.maximum = max(s.maximum, v.heapNow)
	v.heapMaximum = s.maximum
	return v
}

// advance moves the averages on, by Mosquitto's formula: the rate per minute since the last
// pass, weighted by e^(-t/T) against the old average.
func (s *Sys) advance(v *sample) {
	passed := v.at.Sub(s.before.at).Seconds()
	if s.before.at.IsZero() || passed <= 0 {
		return
	}
	for i := range s.loads {
		l := &s.loads[i]
		perMinute := float64(l.counter(v)-min(l.counter(&s.before), l.counter(v))) * 60 / passed
		for k, minutes := range loadMinutes {
			old := math.Exp(-passed / (60 * minutes))
			l.average[k] = perMinute + old*(l.average[k]-perMinute)
		}
	}
}

func (s *Sys) publish(topic, value string) {
	if have, ok := s.last[topic]; ok && have == value {
		return
	}
	s.last[topic] = value
	s.o.Engine.Publish(topic, []byte(value), 0, true)
}

// level makes one valid topic level of a reason.
func level(reason string) string {
	return strings.NewReplacer("/", "_", "+", "_", "#", "_", "\x00", "_", " ", "_").Replace(reason)
}
