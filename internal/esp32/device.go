package esp32

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Channels is the number of servo channels.
const Channels = 16

// Options of Start. The zero value of each but Addr stands for what the production firmware has.
type Options struct {
	Addr     string                                      // host:port of the broker
	Dial     func(ctx context.Context) (net.Conn, error) // in place of Addr; asked for every connection
	ClientID string                                      // tars-esp32
	User     string                                      // sent with Password when not empty
	Password string
	// KeepAlive of the CONNECT in seconds; 30 if 0. It is not scaled by Pace.
	KeepAlive uint16
	// Pace is how many times faster than the real device's everything goes that the device waits for; 1
	// if 0. Silence on the wire is not scaled.
	Pace float64
	// Poll is what one idle poll of the socket takes; 100 ms if 0, as on the ESP32, where moves are slow
	// because of it. 1 ms is the same firmware on a computer.
	Poll         time.Duration
	FrameTimeout time.Duration // 2.5 s if 0: without a frame for so long health is not ok
	HealthEvery  time.Duration // 300 s if 0
	LED          bool          // every publish blocks the device for 300 ms more
}

func (o Options) withDefaults() Options {
	if o.ClientID == "" {
		o.ClientID = "tars-esp32"
	}
	if o.KeepAlive == 0 {
		o.KeepAlive = 30
	}
	if o.Pace == 0 {
		o.Pace = 1
	}
	if o.Poll == 0 {
		o.Poll = 100 * time.Millisecond
	}
	if o.FrameTimeout == 0 {
		o.FrameTimeout = 2500 * time.Millisecond
	}
	if o.HealthEvery == 0 {
		o.HealthEvery = 300 * time.Second
	}
	if o.Dial == nil {
		addr := o.Addr
		o.Dial = func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		}
	}
	return o
}

// Command is one accepted message of movement/test.
type Command struct {
	Name      string
	Speed     float64 // 0.1 to 1
	Params    map[string]any
	RequestID any // nil: none
}

// Ended is a command whose execution has ended.
type Ended struct {
	Command
	Failure string    // empty: command_completed
	Began   time.Time // real time, both
	At      time.Time
}

// Event is one thing that happened to the device.
type Event struct {
	At     time.Time // real time
	Kind   string    // boot, connect, refused, unreachable, lost, subscribe, received, publish, crash
	Topic  string    // of subscribe, received and publish
	Detail string    // payload, or what else there is to say
}

// State is what the device is and has done since Start, as of one moment.
type State struct {
	PWM      [Channels]int // ticks that each servo gets; 0: off
	Moved    time.Time     // real time of the last change of a tick
	Running  string        // name of the command that is executed; empty: none
	Queue    []Command     // accepted and not begun
	Ended    []Ended       // in order, over all boots
	Latched  bool          // a queued stop has latched: nothing is accepted until PowerCycle
	Connects int           // CONNACKs that let it in
	Tries    int           // attempts to connect
	// Waiting is what the device waits for without a limit: "PUBACK 7", "SUBACK 1", "read". Nothing else
	// goes on meanwhile. Empty: it polls.
	Waiting string
	Events  []Event // the latest few thousand
}

const maxEvents = 4096

// Count is the number of events of a kind, of topic if that is not empty.
func (s State) Count(kind, topic string) int {
	n := 0
	for _, e := range s.Events {
		if e.Kind == kind && (topic == "" || e.Topic == topic) {
			n++
		}
	}
	return n
}

// Device is a device under power. Its methods may be called from any goroutine.
type Device struct {
	o      Options
	cancel context.CancelFunc // of the present boot
	parent context.Context
	done   chan struct{} // closed when the present boot's goroutine has ended
	power  sync.Mutex    // Close and PowerCycle, and the three above

	mu      sync.Mutex // what follows
	state   State
	changed chan struct{} // closed and made anew at every change
	cut     bool          // the cable is pulled
	conns   []*cable      // all that were opened and not closed
}

// Start switches a device on. It runs until Close or the end of ctx.
func Start(ctx context.Context, o Options) *Device {
	d := &Device{o: o.withDefaults(), parent: ctx, changed: make(chan struct{})}
	d.boot()
	return d
}

func (d *Device) boot() {
	ctx, cancel := context.WithCancel(d.parent)
	done := make(chan struct{})
	d.cancel, d.done = cancel, done
	go func() {
		defer close(done)
		newFirmware(d).run(ctx)
	}()
}

// off cuts the power and waits for the end of the program. The broker hears nothing of it.
func (d *Device) off() {
	d.cancel()
	d.mu.Lock()
	for _, c := range d.conns {
		c.abandon()
	}
	d.mu.Unlock()
	<-d.done
}

// PowerCycle switches the device off and on again: queue, latch and joint positions are gone, servos are
// off. Its connection stays open for the broker, as after a power cut; Close closes it.
func (d *Device) PowerCycle() {
	d.power.Lock()
	defer d.power.Unlock()
	d.off()
	d.change(func(s *State) {
		s.PWM, s.Moved = [Channels]int{}, time.Now()
		s.Running, s.Queue, s.Latched, s.Waiting = "", nil, false, ""
	})
	d.boot()
}

// PullCable takes the network away: connections go silent, without an end for either side.
func (d *Device) PullCable() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	for _, c := range d.conns {
		c.cut()
	}
}

// PlugIn gives the network back. Connections of before stay dead: the device notices when it writes.
func (d *Device) PlugIn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = false
}

// Close switches the device off for good and closes its sockets.
func (d *Device) Close() {
	d.power.Lock()
	defer d.power.Unlock()
	d.off()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Conn.Close()
	}
	d.conns = nil
}

// State is a copy of the state.
func (d *Device) State() State {
	s, _ := d.snapshot()
	return s
}

func (d *Device) snapshot() (State, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.state
	s.Queue, s.Ended, s.Events = slices.Clone(s.Queue), slices.Clone(s.Ended), slices.Clone(s.Events)
	return s, d.changed
}

// Wait returns the first state for which cond holds, or the last one with an error when ctx ends.
func (d *Device) Wait(ctx context.Context, cond func(State) bool) (State, error) {
	for {
		s, changed := d.snapshot()
		if cond(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, fmt.Errorf("device waits for %q, runs %q: %w", s.Waiting, s.Running, ctx.Err())
		}
	}
}

// open is a new connection to the broker.
func (d *Device) open(ctx context.Context) (*cable, error) {
	if d.pulled() {
		return nil, syscall.EHOSTUNREACH
	}
	nc, err := d.o.Dial(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newCable(nc, d.pulled)
	if d.cut {
		c.cut()
	}
	d.conns = append(d.conns, c)
	if ctx.Err() != nil { // switched off meanwhile
		c.abandon()
	}
	return c, nil
}

func (d *Device) pulled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

// drop gives a connection up.
func (d *Device) drop(c *cable) {
	if c == nil || !c.hangUp() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = slices.DeleteFunc(d.conns, func(o *cable) bool { return o == c })
}

func (d *Device) change(f func(*State)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.state)
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *Device) event(kind, topic, detail string) {
	d.change(func(s *State) {
		if len(s.Events) >= maxEvents {
			s.Events = s.Events[maxEvents/2:]
		}
		s.Events = append(s.Events, Event{At: time.Now(), Kind: kind, Topic: topic, Detail: detail})
	})
}
