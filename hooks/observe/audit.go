package observe

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// AuditTopic carries every audit event as JSON, at QoS 0 and not retained: the log is the record
// that is kept. Access rules should let only admins read it.
const AuditTopic = "$SYS/tarsd/audit"

const (
	auditQueue = 4096 // events; about 1 MiB
	// Log lines per kind and second. A storm of refused connections must not become a storm on
	// the disk that holds the log; the topic and the counters still get every event.
	logBurst = 50
)

// AuditOptions of NewAudit. The zero value is fine.
type AuditOptions struct {
	Queue int // events that wait for the log and the topic; 0 means 4096
	Log   zerolog.Logger
}

// Audit takes events from the engine and hands them to the log and to a topic. Event may be
// called from any goroutine; the rest belongs to Run's.
type Audit struct {
	events  chan delivery.Event
	lost    atomic.Uint64
	expired atomic.Uint64
	log     zerolog.Logger

	told   uint64 // lost events that were reported
	window map[string]*logWindow
}

// logWindow counts the log lines of one kind in the running second.
type logWindow struct {
	start   time.Time
	lines   int
	skipped int
}

// NewAudit makes the stream. Its Event goes into the engine's options, Run needs the engine.
func NewAudit(o AuditOptions) *Audit {
	if o.Queue <= 0 {
		o.Queue = auditQueue
	}
	return &Audit{events: make(chan delivery.Event, o.Queue), log: o.Log, window: map[string]*logWindow{}}
}

// Event takes one event and never blocks: when the queue is full the event is lost and counted.
func (a *Audit) Event(e delivery.Event) {
	if e.Kind == "session_end" && e.Reason == "session_expired" {
		a.expired.Add(1)
	}
	select {
	case a.events <- e:
	default:
		a.lost.Add(1)
	}
}

// Lost is how many events found the queue full.
func (a *Audit) Lost() uint64 { return a.lost.Load() }

// Expired is how many sessions ended because their expiry passed.
func (a *Audit) Expired() uint64 { return a.expired.Load() }

// Run logs and publishes until ctx ends, and then what still waits. It returns nil.
func (a *Audit) Run(ctx context.Context, e Engine) error {
	for {
		select {
		case ev := <-a.events:
			a.handle(ev, e)
		case <-ctx.Done():
			for {
				select {
				case ev := <-a.events:
					a.handle(ev, e)
				default:
					return nil
				}
			}
		}
	}
}

func (a *Audit) handle(ev delivery.Event, e Engine) {
	a.emit(ev, e)
	if lost := a.lost.Load(); lost != a.told {
		n := lost - a.told
		a.told = lost
		a.emit(delivery.Event{Time: ev.Time, Kind: "audit_lost", Reason: "queue_full", Count: int(n)}, e)
	}
}

func (a *Audit) emit(ev delivery.Event, e Engine) {
	if a.mayLog(&ev) {
		a.write(&ev)
	}
	// A slow reader of the audit topic loses events, which is an event. Published, it would be
	// lost too, and so on for ever; the log has it.
	if ev.Topic == AuditTopic {
		return
	}
	b, err := json.Marshal(ev)
	if err != nil {
		a.log.Error().Err(err).Str("event", ev.Kind).Msg("audit event not encoded")
		return
	}
	e.Publish(AuditTopic, b, 0, false)
}

// mayLog grants logBurst lines a second to each kind, and tells how many were left out when the
// next second of that kind begins.
func (a *Audit) mayLog(ev *delivery.Event) bool {
	w := a.window[ev.Kind]
	if w == nil {
		w = &logWindow{} // kinds are constants of the code, so the map stays small
		a.window[ev.Kind] = w
	}
	if now := time.Now(); now.Sub(w.start) >= time.Second {
		if w.skipped > 0 {
			a.log.Warn().Str("event", ev.Kind).Int("count", w.skipped).Msg("audit lines left out")
		}
		*w = logWindow{start: now}
	}
	if w.lines++; w.lines > logBurst {
		w.skipped++
		return false
	}
	return true
}

func (a *Audit) write(ev *delivery.Event) {
	line := a.log.WithLevel(levelOf(ev))
	line.Str("event", ev.Kind)
	for _, f := range [...]struct{ key, value string }{
		{"client", ev.Client}, {"user", ev.User}, {"remote", ev.Remote}, {"listener", ev.Listener},
		{"topic", ev.Topic}, {"reason", ev.Reason},
	} {
		if f.value != "" {
			line.Str(f.key, f.value)
		}
	}
	if ev.Code != 0 {
		line.Stringer("code", ev.Code)
	}
	if ev.Count > 1 {
		line.Int("count", ev.Count)
	}
	line.Msg("audit")
}

// levelOf says how loud an event is.
func levelOf(ev *delivery.Event) zerolog.Level {
	switch ev.Kind {
	case "connect", "disconnect", "session_end", "takeover", "will":
		return zerolog.InfoLevel
	}
	return zerolog.WarnLevel
}
