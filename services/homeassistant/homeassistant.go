package homeassistant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
)

var _ services.Service = (*Device)(nil)

// Options of New. Start from Defaults.
type Options struct {
	Enabled  bool
	Prefix   string   // of Home Assistant's discovery topics
	ID       string   // of the device; letters, digits, _ and -
	Name     string   // of the device, as people see it
	URL      string   // of the robot's page; empty: none
	Traits   []string // of the persona, that can be set
	Services []string // whose health is shown
	Motion   bool     // the camera tells of motion
	Version  string   // of tarsd
}

// Defaults are those of the configuration.
func Defaults() Options {
	return Options{Prefix: "homeassistant", ID: "tarsd", Name: "TARS", Traits: []string{"humor", "honesty"}}
}

var (
	goodID    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	goodTrait = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

// maxTraits bounds what is announced.
const maxTraits = 32

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	bad(o.Prefix == "" || len(o.Prefix) > 100 || strings.ContainsAny(o.Prefix, "+#") || strings.ContainsFunc(o.Prefix, odd) ||
		o.Prefix[0] == '$' || strings.HasPrefix(o.Prefix, "/") || strings.HasSuffix(o.Prefix, "/"), "prefix: %q is not a topic", o.Prefix)
	bad(!goodID.MatchString(o.ID), "id: %q is not 1 to 64 letters, digits, _ and -", o.ID)
	bad(o.Name == "" || len(o.Name) > 100 || strings.ContainsFunc(o.Name, odd), "name: is empty, too long or not printable")
	if o.URL != "" {
		u, err := url.Parse(o.URL)
		bad(err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https", "url: is not like http://robot.local:5010")
	}
	bad(len(o.Traits) > maxTraits, "traits: more than %d", maxTraits)
	for _, t := range o.Traits {
		bad(!goodTrait.MatchString(t), "traits: %q is not the name of a trait", t)
	}
	return errors.Join(errs...)
}

// Device is the service. New makes it, Run runs it.
type Device struct {
	o      Options
	jitter time.Duration // after Home Assistant's start, so that not all devices speak at once
}

// New checks the options.
func New(o Options) (*Device, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("homeassistant: %w", err)
	}
	return &Device{o, 5 * time.Second}, nil
}

// Name implements services.Service.
func (*Device) Name() string { return "homeassistant" }

// Topics and messages of Home Assistant's own.
func (d *Device) configTopic() string { return d.o.Prefix + "/device/" + d.o.ID + "/config" }
func (d *Device) birthTopic() string  { return d.o.Prefix + "/status" }

const birth = "online"

// qosConfig is for what Home Assistant has to know.
const qosConfig = 1

// Run implements services.Service.
func (d *Device) Run(ctx context.Context, rt services.Runtime) error {
	if !d.o.Enabled {
		return d.retire(ctx, rt)
	}
	r := &run{d: d, again: make(chan struct{}, 1), gone: map[string]component{}}
	_, err := rt.Bus.SubscribeRaw(d.configTopic(), qosConfig, func(_ context.Context, m client.RawMessage) error {
		r.before(m)
		return nil
	})
	_, errBirth := rt.Bus.SubscribeRaw(d.birthTopic(), qosConfig, func(_ context.Context, m client.RawMessage) error {
		if string(m.Payload) == birth && !m.Retained { // one that is retained is older than what we say at our start
			r.soon()
		}
		return nil
	})
	if err = errors.Join(err, errBirth); err != nil {
		return err
	}
	rt.Ready()
	for wait := time.Duration(0); ; {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		if _, err := rt.Bus.PublishRaw(ctx, d.configTopic(), r.config(), qosConfig, true); err != nil && ctx.Err() == nil {
			rt.Log.Warn().Err(err).Str("topic", d.configTopic()).Msg("not announced")
		}
		select {
		case <-r.again:
		case <-ctx.Done():
			return nil
		}
		wait = rand.N(d.jitter) //nolint:gosec // no secret
	}
}

// run is one life of the service that announces. mu guards gone.
type run struct {
	d     *Device
	again chan struct{} // capacity 1: announce
	mu    sync.Mutex
	gone  map[string]component // announced by an earlier run; now without anything but a platform, which is how they are taken back
}

func (r *run) soon() {
	select {
	case r.again <- struct{}{}:
	default: // it is going to be
	}
}

// before looks at what was announced by an earlier run.
func (r *run) before(m client.RawMessage) {
	old, ok := ours(m.Payload)
	if !ok || !m.Retained {
		return
	}
	now := r.d.components()
	r.mu.Lock()
	defer r.mu.Unlock()
	found := false
	for id, c := range old.Components {
		if _, still := now[id]; still || c.platform() == "" || len(r.gone) >= maxTraits+100 {
			continue
		}
		if _, known := r.gone[id]; !known {
			r.gone[id] = component{"p": c.platform()}
			found = true
		}
	}
	if found {
		r.soon()
	}
}

func (r *run) config() []byte {
	a := r.d.announcement()
	r.mu.Lock()
	maps.Copy(a.Components, r.gone)
	r.mu.Unlock()
	b, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return b
}

// ours reads an announcement, and reports whether tarsd made it.
func ours(payload []byte) (announcement, bool) {
	var a announcement
	if len(payload) > 1<<20 || json.Unmarshal(payload, &a) != nil {
		return a, false
	}
	return a, a.Origin.Name == originName
}

// retire takes back what an earlier run announced.
func (d *Device) retire(ctx context.Context, rt services.Runtime) error {
	_, err := rt.Bus.SubscribeRaw(d.configTopic(), qosConfig, func(ctx context.Context, m client.RawMessage) error {
		if _, ok := ours(m.Payload); !ok || !m.Retained {
			return nil
		}
		rt.Log.Info().Ctx(ctx).Str("topic", d.configTopic()).Msg("no longer announced to Home Assistant")
		_, err := rt.Bus.PublishRaw(ctx, d.configTopic(), nil, qosConfig, true)
		return err
	})
	if err != nil {
		return err
	}
	rt.Ready()
	<-ctx.Done()
	return nil
}
