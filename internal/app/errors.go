package app

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// listenError words why a listener cannot be had.
func listenError(what string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen %s: the address is in use by another program", what)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listen %s: permission denied (ports below 1024 need a privilege)", what)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listen %s: this machine has no such address", what)
	}
	if text := err.Error(); strings.Contains(text, what) {
		return err // it says so already
	}
	return fmt.Errorf("listen %s: %w", what, err)
}
