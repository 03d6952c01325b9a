package homeassistant

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The rules of Home Assistant's documentation of MQTT discovery and of each platform, as of 2026:
// what a message of the device-based form must have and may have. Keys that a platform does not
// know make no error there, they are ignored; here they are one.

// short are the abbreviations that we use.
var short = map[string]string{"dev": "device", "o": "origin", "cmps": "components", "p": "platform"}

// kinds of values.
const (
	text     = "text"
	whole    = "whole number"
	yesNo    = "yes or no"
	list     = "list"
	template = "template"
	listen   = "topic to subscribe to"
	speakTo  = "topic to publish to"
)

type keys map[string]string

// every entity may have these.
var common = keys{
	"platform": text, "name": text, "unique_id": text, "icon": text, "entity_category": text, "enabled_by_default": yesNo, "qos": whole,
	"availability": list, "availability_mode": text, "json_attributes_topic": listen, "json_attributes_template": template,
}

type platform struct {
	must, may keys
	classes   []string // of device_class; nil: not a key of it
}

var platforms = map[string]platform{
	"sensor": {
		keys{"state_topic": listen}, keys{"value_template": template, "options": list, "expire_after": whole, "force_update": yesNo},
		[]string{"enum"},
	},
	"binary_sensor": {
		keys{"state_topic": listen},
		keys{"value_template": template, "off_delay": whole, "expire_after": whole, "payload_on": text, "payload_off": text},
		[]string{"battery", "problem", "motion"},
	},
	"camera": {keys{"topic": listen}, keys{"image_encoding": text}, nil},
	"button": {keys{"command_topic": speakTo}, keys{"payload_press": text, "command_template": template, "retain": yesNo}, []string{"restart"}},
	"text": {
		keys{"command_topic": speakTo},
		keys{"command_template": template, "min": whole, "max": whole, "mode": text, "pattern": text, "state_topic": listen, "value_template": template, "retain": yesNo},
		nil,
	},
	"notify": {keys{"command_topic": speakTo}, keys{"command_template": template, "retain": yesNo}, nil},
	"number": {
		keys{"command_topic": speakTo},
		keys{"command_template": template, "min": whole, "max": whole, "step": whole, "mode": text, "state_topic": listen, "value_template": template, "retain": yesNo},
		[]string{"volume"},
	},
}

var idPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

// long puts the full names of keys in.
func long(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		if full, ok := short[k]; ok {
			k = full
		}
		out[k] = v
	}
	return out
}

func object(v any) map[string]any { m, _ := v.(map[string]any); return m }

// violations are all breaches of the rules in a message on a topic.
func violations(topic string, message []byte) (found []string) {
	bad := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	level := strings.Split(topic, "/")
	if n := len(level); n < 4 || level[n-1] != "config" || level[n-3] != "device" || !idPattern.MatchString(level[n-2]) {
		bad("topic %s", topic)
	}
	var m map[string]any
	if err := json.Unmarshal(message, &m); err != nil {
		return append(found, err.Error())
	}
	m = long(m)
	for k := range m {
		if !slices.Contains([]string{"device", "origin", "components", "availability", "availability_mode", "state_topic", "command_topic", "qos", "encoding"}, k) {
			bad("%s is no key of the whole", k)
		}
	}
	dev := object(m["device"])
	if ids, ok := dev["identifiers"].([]any); (!ok || len(ids) == 0) && dev["connections"] == nil {
		bad("a device has identifiers or connections")
	}
	for k, v := range dev {
		if !slices.Contains([]string{"identifiers", "connections", "name", "manufacturer", "model", "model_id", "sw_version", "hw_version", "serial_number", "suggested_area", "via_device", "configuration_url"}, k) {
			bad("%s is no key of a device", k)
		}
		if k == "configuration_url" {
			found = append(found, webURL(k, v)...)
		}
	}
	org := object(m["origin"])
	if name, _ := org["name"].(string); name == "" {
		bad("an origin has a name")
	}
	if v, ok := org["support_url"]; ok {
		found = append(found, webURL("support_url", v)...)
	}
	found = append(found, availabilities("the whole", m)...)
	components := object(m["components"])
	if len(components) == 0 {
		bad("no components")
	}
	unique := map[any]bool{}
	for _, id := range slices.Sorted(maps.Keys(components)) {
		c := long(object(components[id]))
		if !idPattern.MatchString(id) {
			bad("component id %s", id)
		}
		if len(c) == 1 && c["platform"] != nil {
			continue // taken back
		}
		if c["unique_id"] == nil || unique[c["unique_id"]] {
			bad("%s: unique_id %v", id, c["unique_id"])
		}
		unique[c["unique_id"]] = true
		found = append(found, entity(id, c)...)
	}
	return found
}

func webURL(key string, v any) []string {
	s, _ := v.(string)
	if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return []string{key + " is no URL"}
	}
	return nil
}

func availabilities(what string, m map[string]any) (found []string) {
	if mode, ok := m["availability_mode"]; ok && mode != "all" && mode != "any" && mode != "latest" {
		found = append(found, what+": availability_mode")
	}
	if m["availability"] != nil && m["availability_topic"] != nil {
		found = append(found, what+": availability and availability_topic")
	}
	all, _ := m["availability"].([]any)
	for _, v := range all {
		a := object(v)
		if why := wrong(listen, a["topic"]); why != "" {
			found = append(found, what+": availability topic "+why)
		}
		for k, v := range a {
			switch k {
			case "topic":
			case "value_template":
				if why := wrong(template, v); why != "" {
					found = append(found, what+": availability template "+why)
				}
			case "payload_available", "payload_not_available":
			default:
				found = append(found, what+": "+k+" is no key of an availability")
			}
		}
	}
	return found
}

// entity checks one component.
func entity(id string, c map[string]any) (found []string) {
	bad := func(format string, args ...any) { found = append(found, id+": "+fmt.Sprintf(format, args...)) }
	name, _ := c["platform"].(string)
	p, known := platforms[name]
	if !known {
		bad("platform %q", name)
		return found
	}
	for k := range p.must {
		if c[k] == nil {
			bad("%s has a %s", name, k)
		}
	}
	allowed := maps.Clone(common)
	maps.Copy(allowed, p.must)
	maps.Copy(allowed, p.may)
	if p.classes != nil {
		allowed["device_class"] = text
	}
	for k, v := range c {
		kind, ok := allowed[k]
		if !ok {
			bad("%s is no key of a %s", k, name)
		} else if why := wrong(kind, v); why != "" {
			bad("%s %s", k, why)
		}
	}
	found = append(found, availabilities(id, c)...)
	if class, ok := c["device_class"].(string); ok && !slices.Contains(p.classes, class) {
		bad("device_class %s", class)
	}
	if (c["device_class"] == "enum") != (c["options"] != nil) {
		bad("options belong to the class enum")
	}
	if cat := c["entity_category"]; cat != nil && cat != "diagnostic" && (cat != "config" || name == "sensor" || name == "binary_sensor") {
		bad("entity_category %v", cat)
	}
	if lo, ok := c["min"].(float64); ok {
		hi, _ := c["max"].(float64)
		if lo >= hi || name == "text" && hi > 255 {
			bad("from %v to %v", lo, hi)
		}
	}
	if q, ok := c["qos"].(float64); ok && (q < 0 || q > 2) {
		bad("qos %v", q)
	}
	return found
}

// wrong says why a value is not of a kind.
func wrong(kind string, v any) string {
	s, isText := v.(string)
	n, isNumber := v.(float64)
	_, isList := v.([]any)
	_, isBool := v.(bool)
	switch kind {
	case text:
		if !isText || s == "" {
			return "is no text"
		}
	case whole:
		if !isNumber || n != float64(int(n)) || n < 0 {
			return "is no whole number"
		}
	case yesNo:
		if !isBool {
			return "is not true or false"
		}
	case list:
		if !isList {
			return "is no list"
		}
	case template:
		if !isText || strings.Count(s, "{{") == 0 || strings.Count(s, "{{") != strings.Count(s, "}}") {
			return "is no template"
		}
	case listen, speakTo:
		if !isText || s == "" || len(s) > 65535 || strings.ContainsRune(s, 0) || kind == speakTo && strings.ContainsAny(s, "+#") {
			return "is no topic"
		}
	}
	return ""
}

func full(t *testing.T) *Device {
	t.Helper()
	o := Defaults()
	o.Enabled, o.Motion, o.Version, o.URL = true, true, "1.2.3", "http://robot.local:5010"
	o.Services = []string{"router", "tts", "camera", "memory", "movement"}
	d, err := New(o)
	require.NoError(t, err)
	return d
}

func TestAnnouncementFollowsTheRules(t *testing.T) {
	t.Parallel()
	d := full(t)
	b, err := json.Marshal(d.announcement())
	require.NoError(t, err)
	assert.Empty(t, violations(d.configTopic(), b))
	assert.Equal(t, "homeassistant/device/tarsd/config", d.configTopic())
	small, err := New(Options{Prefix: "ha", ID: "x", Name: "X"})
	require.NoError(t, err)
	b, err = json.Marshal(small.announcement())
	require.NoError(t, err)
	assert.Empty(t, violations(small.configTopic(), b))
}

// TestRulesFindMistakes breaks each rule once: rules that find nothing prove nothing.
func TestRulesFindMistakes(t *testing.T) {
	t.Parallel()
	d := full(t)
	for name, breach := range map[string]func(m map[string]any, c func(id string) map[string]any){
		"no device":         func(m map[string]any, _ func(string) map[string]any) { delete(m, "dev") },
		"no identifiers":    func(m map[string]any, _ func(string) map[string]any) { delete(object(m["dev"]), "identifiers") },
		"no origin":         func(m map[string]any, _ func(string) map[string]any) { delete(m, "o") },
		"nameless origin":   func(m map[string]any, _ func(string) map[string]any) { delete(object(m["o"]), "name") },
		"no components":     func(m map[string]any, _ func(string) map[string]any) { delete(m, "cmps") },
		"unknown key":       func(m map[string]any, _ func(string) map[string]any) { m["retain"] = true },
		"no platform":       func(_ map[string]any, c func(string) map[string]any) { delete(c("state"), "p") },
		"unknown platform":  func(_ map[string]any, c func(string) map[string]any) { c("state")["p"] = "speaker" },
		"no unique id":      func(_ map[string]any, c func(string) map[string]any) { delete(c("stop"), "unique_id") },
		"same unique id":    func(_ map[string]any, c func(string) map[string]any) { c("stop")["unique_id"] = "tarsd_resume" },
		"no topic":          func(_ map[string]any, c func(string) map[string]any) { delete(c("camera"), "topic") },
		"state of a button": func(_ map[string]any, c func(string) map[string]any) { c("stop")["state_topic"] = "x" },
		"wildcard":          func(_ map[string]any, c func(string) map[string]any) { c("stop")["command_topic"] = "movement/#" },
		"template":          func(_ map[string]any, c func(string) map[string]any) { c("say")["command_template"] = "{{ value" },
		"class":             func(_ map[string]any, c func(string) map[string]any) { c("battery")["device_class"] = "voltage" },
		"options":           func(_ map[string]any, c func(string) map[string]any) { delete(c("state"), "options") },
		"category":          func(_ map[string]any, c func(string) map[string]any) { c("battery")["entity_category"] = "config" },
		"long text":         func(_ map[string]any, c func(string) map[string]any) { c("say")["max"] = 1000 },
		"numbers":           func(_ map[string]any, c func(string) map[string]any) { c("trait_humor")["min"] = 100 },
		"qos":               func(_ map[string]any, c func(string) map[string]any) { c("stop")["qos"] = 3 },
		"mode":              func(_ map[string]any, c func(string) map[string]any) { c("camera")["availability_mode"] = "most" },
		"page":              func(m map[string]any, _ func(string) map[string]any) { object(m["dev"])["configuration_url"] = "robot" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := json.Marshal(d.announcement())
			require.NoError(t, err)
			var m map[string]any
			require.NoError(t, json.Unmarshal(b, &m))
			breach(m, func(id string) map[string]any { return object(object(m["cmps"])[id]) })
			b, err = json.Marshal(m)
			require.NoError(t, err)
			assert.NotEmpty(t, violations(d.configTopic(), b))
		})
	}
	assert.NotEmpty(t, violations("homeassistant/device/a b/config", nil))
}
