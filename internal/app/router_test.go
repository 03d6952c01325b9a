package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services/router"
)

// The defaults of the dialogue stand in two places, since the package does not know the configuration: they are
// the same.
func TestDefaultsOfTheRouter(t *testing.T) {
	t.Parallel()
	assert.Equal(t, router.Defaults(), routerOptions(config.Default().Router))
}

// What an owner sets reaches the router, the lists of words too; a map replaces the entries that it has.
func TestOptionsOfTheRouter(t *testing.T) {
	t.Parallel()
	c := config.Default().Router
	c.HushPhrases, c.Commands, c.Texts.Errors = []string{"pst"}, map[string][]string{"bow": {"down"}}, map[string]string{"busy": "Later."}
	c.WakeWindow = config.Duration(3 * time.Second)
	want := router.Defaults()
	want.HushPhrases, want.Commands["bow"], want.Errors["busy"], want.WakeWindow = c.HushPhrases, []string{"down"}, "Later.", 3*time.Second
	assert.Equal(t, want, routerOptions(c))
}
