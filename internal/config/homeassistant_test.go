package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestHomeAssistant(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*HomeAssistant){
		"prefix": func(c *HomeAssistant) { c.Prefix = "home/+" },
		"empty":  func(c *HomeAssistant) { c.Prefix = "" },
		"id":     func(c *HomeAssistant) { c.ID = "living room" },
		"name":   func(c *HomeAssistant) { c.Name = "" },
		"url":    func(c *HomeAssistant) { c.URL = "robot.local" },
		"traits": func(c *HomeAssistant) { c.Traits = []string{"Humor"} },
	} {
		var ps Problems
		c := defaultHomeAssistant()
		c.check("homeassistant", &ps)
		assert.Empty(t, ps, "the defaults")
		change(&c)
		c.check("homeassistant", &ps)
		assert.Len(t, ps, 1, name)
	}
}
