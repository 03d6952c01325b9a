package homeassistant

import (
	"fmt"

	"github.com/tarsd/tarsd/services/contract"
)

const (
	originName = "tarsd"
	supportURL = "https://github.com/tarsd/tarsd"
)

// announcement is the one message of the device-based discovery. Keys are Home Assistant's, short
// where its documentation has them short.
type announcement struct {
	Device       device               `json:"dev"`
	Origin       origin               `json:"o"`
	Components   map[string]component `json:"cmps"`
	Availability []availability       `json:"availability"`
	QoS          int                  `json:"qos"`
}

type device struct {
	Identifiers  []string `json:"identifiers"`
	Name         string   `json:"name"`
	Manufacturer string   `json:"manufacturer"`
	Model        string   `json:"model"`
	Version      string   `json:"sw_version,omitempty"`
	URL          string   `json:"configuration_url,omitempty"`
}

type origin struct {
	Name    string `json:"name"`
	Version string `json:"sw_version,omitempty"`
	URL     string `json:"support_url"`
}

type availability struct {
	Topic    string `json:"topic"`
	Template string `json:"value_template"`
}

// component is one entity: its platform under p, a name, a unique id, and what the platform wants.
type component map[string]any

func (c component) platform() string {
	p, _ := c["p"].(string)
	return p
}

// payload is what a message says, enveloped or bare, in a template.
const payload = "(value_json.data | default(value_json))"

func available(service string) availability {
	return availability{contract.Health.At(service).Name, "{{ 'online' if " + payload + ".ok else 'offline' }}"}
}

func (d *Device) announcement() announcement {
	o := &d.o
	return announcement{
		Device: device{[]string{o.ID}, o.Name, "tarsd", "TARS", o.Version, o.URL},
		Origin: origin{originName, o.Version, supportURL},
		// Our own health stands for the process: the broker speaks our will when it vanishes.
		Availability: []availability{available(d.Name())},
		Components:   d.components(), QoS: 1,
	}
}

// components are the entities, by ids that are unique in this device.
func (d *Device) components() map[string]component {
	all := map[string]component{
		"state": {
			"p": "sensor", "name": "State", "icon": "mdi:robot", "device_class": "enum",
			"options":     []string{contract.Idle, contract.Listening, contract.Thinking, contract.Speaking, contract.Interrupted},
			"state_topic": contract.DialogueState.Name, "value_template": "{{ " + payload + ".state }}",
		},
		// The robot's firmware says only that the battery is low, and nothing when it no longer is.
		"battery": {
			"p": "binary_sensor", "name": "Battery", "device_class": "battery", "off_delay": 3600,
			"state_topic":    contract.MovementStatus.Name,
			"value_template": "{{ {'battery_low': 'ON', 'connected': 'OFF'}.get(" + payload + ".event, '') }}",
		},
		"camera": d.needs("camera", component{"p": "camera", "name": "Camera", "topic": contract.CameraJPEG.Name}),
		"say": d.needs("tts", component{
			"p": "text", "name": "Say", "icon": "mdi:account-voice", "min": 1, "max": 255,
			"command_topic": contract.TTSSay.Name, "command_template": speak,
		}),
		"speech": d.needs("tts", component{
			"p": "notify", "name": "Speech", "command_topic": contract.TTSSay.Name, "command_template": speak,
		}),
		// The stop has no condition but that the robot is there: it must not be greyed out because
		// something else is not.
		"stop":   button("Stop", "mdi:stop-circle", contract.MovementStop.Name),
		"resume": button("Resume", "mdi:play-circle", contract.MovementResume.Name),
	}
	if d.o.Motion {
		all["motion"] = d.needs("camera", component{
			"p": "binary_sensor", "name": "Motion", "device_class": "motion", "state_topic": contract.CameraMotion.Name,
			"value_template": "{{ {'start': 'ON', 'end': 'OFF'}.get(" + payload + ".event, '') }}",
		})
	}
	for _, t := range d.o.Traits {
		all["trait_"+t] = d.needs("memory", trait(t))
	}
	for _, s := range d.o.Services {
		all["health_"+s] = problem(s)
	}
	for id, c := range all {
		c["unique_id"] = d.o.ID + "_" + id
	}
	return all
}

const speak = `{"text": {{ value | to_json }} }`

// needs makes a component unavailable while the service that it is of does not work.
func (d *Device) needs(service string, c component) component {
	c["availability"] = []availability{available(d.Name()), available(service)}
	c["availability_mode"] = "all"
	return c
}

func button(name, icon, topic string) component {
	return component{
		"p": "button", "name": name, "icon": icon, "command_topic": topic, "payload_press": `{"reason": "Home Assistant"}`, "qos": 1, "retain": false,
	}
}

func trait(name string) component {
	return component{
		"p": "number", "name": "Trait " + name, "icon": "mdi:tune", "entity_category": "config", "min": 0, "max": 100, "step": 1, "mode": "slider",
		"state_topic":    contract.CharacterCurrent.Name,
		"value_template": fmt.Sprintf("{{ %s.traits['%s'] | default('None') }}", payload, name),
		"command_topic":  contract.CharacterUpdate.Name, "command_template": fmt.Sprintf(`{"trait": %q, "value": {{ value | int }} }`, name),
	}
}

func problem(service string) component {
	topic := contract.Health.At(service).Name
	return component{
		"p": "binary_sensor", "name": "Problem " + service, "device_class": "problem", "entity_category": "diagnostic",
		"state_topic": topic, "value_template": "{{ 'OFF' if " + payload + ".ok else 'ON' }}",
		"json_attributes_topic": topic, "json_attributes_template": "{{ " + payload + " | to_json }}",
	}
}
