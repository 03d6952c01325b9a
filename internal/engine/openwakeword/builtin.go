package openwakeword

import (
	"bytes"
	_ "embed"
	"fmt"
)

// heyTARS is the head that comes with tarsd. docs/wake.md says how it was made, and how well it hears.
//
//go:embed heads/hey_tars.head
var heyTARS []byte

// Builtin returns the head that is built in, for "hey tars".
func Builtin() (*Head, error) {
	h, err := ReadHead(bytes.NewReader(heyTARS))
	if err != nil {
		return nil, fmt.Errorf("the built-in head: %w", err)
	}
	return h, nil
}
