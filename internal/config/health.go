package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Health is how the broker judges services and devices.
type Health struct {
	Required  []string            `yaml:"required" shown:"none" doc:"Peers, by name, that have to be up besides the services of this process: tarsd status fails and /healthz is degraded while one is down."`
	Names     map[string][]string `yaml:"names" shown:"see health.md" doc:"Further names of a peer, NAME: [OTHER, ...]: client ids that mean it, and health topics that show the same. An entry replaces the built-in one of that name."`
	Heartbeat Duration            `yaml:"heartbeat" doc:"Interval of heartbeats that is assumed of a peer until its own is known. After three missing ones it is stale."`
	Grace     Duration            `yaml:"grace" doc:"Time that peers have to come back after a start of the broker, before what was retained of them is taken back."`
	ErrorHold Duration            `yaml:"error_hold" doc:"How long an error of an older peer holds, one without a will: such peers never take an error back."`
	Harmless  []string            `yaml:"harmless" doc:"Events of health messages that are no failure although ok is false."`
}

func defaultHealth() Health {
	return Health{
		Heartbeat: Duration(5e9), Grace: Duration(30e9), ErrorHold: Duration(60e9),
		// What the ESP32 says when it moved nothing for a while, and the legacy movement service
		// when somebody else sent nonsense.
		Harmless: []string{"frame_timeout", "invalid_command"},
	}
}

func (h Health) check(ps *Problems) {
	name := regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	const want = "%q is not a name: letters, digits, dots, dashes and underscores, at most 64"
	for i, n := range h.Required {
		if !name.MatchString(n) {
			ps.add(fmt.Sprintf("health.required[%d]", i), "", want, n)
		}
	}
	owner := map[string]string{}
	for _, n := range slices.Sorted(maps.Keys(h.Names)) {
		key := "health.names." + n
		if !name.MatchString(n) {
			ps.add(key, "", want, n)
		}
		for i, other := range h.Names[n] {
			item := fmt.Sprintf("%s[%d]", key, i)
			switch _, isName := h.Names[other]; {
			case !name.MatchString(other):
				ps.add(item, "", want, other)
			case isName:
				ps.add(item, "", "%s is a name of its own", other)
			case owner[other] != "":
				ps.add(item, "", "%s is a name of %s too", other, owner[other])
			}
			owner[other] = n
		}
		if len(h.Names[n]) > 8 {
			ps.add(key, "", "has more than 8 other names")
		}
	}
	for _, r := range []struct {
		key           string
		v, least, top Duration
	}{
		{"heartbeat", h.Heartbeat, Duration(1e9), Duration(6e11)},
		{"grace", h.Grace, Duration(1e9), Duration(36e11)},
		{"error_hold", h.ErrorHold, Duration(1e9), Duration(864e11)},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add("health."+r.key, "", "%s is not from %s to %s", r.v, r.least, r.top)
		}
	}
}
