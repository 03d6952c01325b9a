package config

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// HomeAssistant is what is announced to Home Assistant.
type HomeAssistant struct {
	Enabled bool     `yaml:"enabled" doc:"Announce the robot to Home Assistant as one device. Switched off again, it is taken back at the next start."`
	Prefix  string   `yaml:"prefix" doc:"Prefix of discovery topics, as Home Assistant has it."`
	ID      string   `yaml:"id" doc:"Id of the device: letters, digits, _ and -. Another one for each robot on one broker; switch off before it changes."`
	Name    string   `yaml:"name" doc:"Name of the device."`
	URL     string   `yaml:"url" shown:"none" doc:"Link to the robot's page, such as http://robot.local:5010."`
	Traits  []string `yaml:"traits" doc:"Traits of the persona that can be set there."`
}

func defaultHomeAssistant() HomeAssistant {
	return HomeAssistant{Prefix: "homeassistant", ID: "tarsd", Name: "TARS", Traits: []string{"humor", "honesty"}}
}

var (
	homeID    = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)
	homeTrait = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
)

func (c HomeAssistant) check(key string, ps *Problems) {
	if c.Prefix == "" || strings.ContainsAny(c.Prefix, "+#") || c.Prefix[0] == '$' || strings.HasPrefix(c.Prefix, "/") || strings.HasSuffix(c.Prefix, "/") {
		ps.add(key+".prefix", "", "%q is not a topic", c.Prefix)
	}
	if !homeID.MatchString(c.ID) {
		ps.add(key+".id", "", "%q is not 1 to 64 letters, digits, _ and -", c.ID)
	}
	if c.Name == "" {
		ps.add(key+".name", "", "must not be empty")
	}
	if u, err := url.Parse(c.URL); c.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https") {
		ps.add(key+".url", "", "is not like http://robot.local:5010")
	}
	for i, t := range c.Traits {
		if !homeTrait.MatchString(t) {
			ps.add(fmt.Sprintf("%s.traits[%d]", key, i), "", "%q is not the name of a trait", t)
		}
	}
}
