package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestInspectArgs(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"--inspect":                          "inspect",
		"--inspect mqtt://x":                 "inspect mqtt://x",
		"--inspect=mqtt://x --json":          "inspect mqtt://x --json",
		"--data d --inspect -n 3":            "inspect --data d -n 3",
		"--data d --inspect mqtt://x -n 3":   "inspect --data d mqtt://x -n 3",
		"--data d --inspect=mqtt://x --json": "inspect --data d mqtt://x --json",
		"run --data d":                       "run --data d",
		"--data d":                           "--data d",
		"pub -m --inspect":                   "pub -m --inspect",
		"":                                   "",
	} {
		assert.Equal(t, strings.Fields(want), strings.Fields(strings.Join(inspectArgs(strings.Fields(in)), " ")), in)
	}
}
