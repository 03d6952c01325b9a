package app

import (
	"time"

	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/internal/wire"
)

// messageHooks are the hooks behind the rates, in the order of hooks.Chain.
func messageHooks(c config.Config) ([]delivery.Hook, error) {
	var chain []delivery.Hook
	if d := c.Dedup; d.Enabled {
		h, err := dedup.New(dedup.Options{TTL: time.Duration(d.TTL), Entries: d.Entries, Topics: d.Topics, Exclude: d.Exclude})
		if err != nil {
			return nil, err
		}
		chain = append(chain, h)
	}
	if profiles := deviceProfiles(c.Devices); len(profiles) > 0 {
		withholdMoves(profiles, c.Movement)
		h, err := device.New(profiles)
		if err != nil {
			return nil, err
		}
		chain = append(chain, h)
	}
	return chain, nil
}

// deviceProfiles are an owner's profiles and behind them the built-in ones.
func deviceProfiles(d config.Devices) []device.Profile {
	var all []device.Profile
	for _, p := range d.Profiles {
		all = append(all, deviceProfile(p))
	}
	if d.ESP32 {
		all = append(all, device.ESP32())
	}
	if d.Legacy {
		all = append(all, device.Legacy()...)
	}
	return all
}

func deviceProfile(c config.Device) device.Profile {
	var p device.Profile
	if c.Like != "" {
		p = device.ESP32()
		p.Name = ""
	}
	p.Match = c.Match
	set(&p.Name, c.Name)
	set(&p.Window, c.Window)
	set(&p.Queue, c.Queue)
	set(&p.MaxAge, time.Duration(c.MaxAge))
	set(&p.Fresh, c.Fresh)
	set(&p.Nested, c.Nested)
	set(&p.Settle, time.Duration(c.Settle))
	set(&p.Link, time.Duration(c.Link))
	set(&p.Presence, c.Presence)
	set(&p.HoldRefusal, time.Duration(c.HoldRefusal))
	set(&p.Messages, float64(c.Rate.Messages))
	set(&p.Bytes, float64(c.Rate.Bytes))
	set(&p.Probe.Topic, c.Probe.Topic)
	set(&p.Probe.Payload, c.Probe.Payload)
	set(&p.Probe.Interval, time.Duration(c.Probe.Interval))
	set(&p.Probe.Wake, c.Probe.Wake)
	set(&p.Probe.ReplyTopic, c.Probe.ReplyTopic)
	set(&p.Probe.Reply, c.Probe.Reply)
	switch c.KeepAlive {
	case config.KeepPackets:
		p.KeepAlive = device.Packets
	case config.KeepConnection:
		p.KeepAlive = device.Connection
	case config.KeepProbe:
		p.KeepAlive = device.Probing
	}
	if len(c.Bare)+len(c.Enveloped) > 0 {
		p.Bare, p.Enveloped = c.Bare, c.Enveloped
	}
	if len(c.Clear) > 0 {
		p.Clear = c.Clear
	}
	if len(c.Subscriptions) > 0 {
		p.Subscriptions = nil
		for _, s := range c.Subscriptions {
			p.Subscriptions = append(p.Subscriptions, wire.Filter{Name: s.Filter, QoS: s.QoS})
		}
	}
	return p
}

// set changes what is given a value.
func set[T comparable](to *T, v T) {
	var none T
	if v != none {
		*to = v
	}
}
