package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestHealth(t *testing.T) {
	t.Parallel()
	assert.NoError(t, Default().Health.problems())
	for name, test := range map[string]struct {
		change func(*Health)
		want   string
	}{
		"required":       {func(h *Health) { h.Required = []string{"lamp", "a/b"} }, "health.required[1]"},
		"name":           {func(h *Health) { h.Names = map[string][]string{"a b": nil} }, "health.names.a b"},
		"other name":     {func(h *Health) { h.Names = map[string][]string{"a": {"x", ""}} }, "health.names.a[1]"},
		"taken":          {func(h *Health) { h.Names = map[string][]string{"a": {"x"}, "b": {"x"}} }, "health.names.b[0]: x is a name of a too"},
		"name of a peer": {func(h *Health) { h.Names = map[string][]string{"a": {"b"}, "b": nil} }, "health.names.a[0]: b is a name of its own"},
		"too many":       {func(h *Health) { h.Names = map[string][]string{"a": {"1", "2", "3", "4", "5", "6", "7", "8", "9"}} }, "more than 8"},
		"heartbeat":      {func(h *Health) { h.Heartbeat = 0 }, "health.heartbeat: 0s is not from 1s to 10m"},
		"grace":          {func(h *Health) { h.Grace = Duration(2 * time.Hour) }, "health.grace"},
		"error_hold":     {func(h *Health) { h.ErrorHold = 1 }, "health.error_hold"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := Default().Health
			test.change(&h)
			assert.ErrorContains(t, h.problems(), test.want)
		})
	}
}

func (h Health) problems() error {
	var ps Problems
	h.check(&ps)
	return ps.err()
}
