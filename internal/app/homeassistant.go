package app

import (
	"slices"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/homeassistant"
)

// makeHomeAssistant makes the service that announces the robot to Home Assistant.
func makeHomeAssistant(p parts) (services.Service, error) {
	c := p.cfg.HomeAssistant
	return homeassistant.New(homeassistant.Options{
		Enabled: c.Enabled, Prefix: c.Prefix, ID: c.ID, Name: c.Name, URL: c.URL, Traits: c.Traits,
		Services: slices.DeleteFunc(p.cfg.Chosen(), func(name string) bool { return name == "homeassistant" }),
		Motion:   p.cfg.Camera.Motion.Enabled, Version: p.version,
	})
}
