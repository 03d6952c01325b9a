package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Everything after pub and sub reaches their own parser: -h as the host, values that look like
// options, and --help.
func TestPubAndSubTakeTheirOwnArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		out  string
	}{
		{"pub --help", 0, "Usage: tarsd pub"},
		{"sub --help", 0, "Usage: tarsd sub"},
		{"pub -h 127.0.0.1 -t x", 1, "both topic and message must be supplied"},
		{"pub -t x -m -h -q 3", 1, "-q: must be a number from 0 to 2"},
		{"sub -t x -D connect user-property a", 1, "-D argument given but no value specified"},
		{"sub --data x", 1, `unknown option "--data"`},
		{"sub -L unix:///nonexistent/socket -t x", 1, "cannot connect to /nonexistent/socket"},
	} {
		var out bytes.Buffer
		err := run(t.Context(), strings.Fields(c.args), stdio{strings.NewReader(""), &out, &out})
		code := 0
		if err != nil {
			code = exitCode(err)
			assert.Empty(t, err.Error(), "mqttcli has told already: %s", c.args)
		}
		assert.Equal(t, c.code, code, c.args)
		assert.Contains(t, out.String(), c.out, c.args)
	}
}
