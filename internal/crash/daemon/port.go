package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
)

// FreeAddr finds a loopback address at which nobody listens, by listening there.
//
// It looks below the range from which the kernel takes the ports of outgoing connections
// (32768 and up), because a test kills its broker and starts it again at the same
// address: in between, any connection of any process might be given a port from that
// range, and a dial loop towards a dead port there can even connect to itself.
func FreeAddr() (string, error) {
	const low, high = 12000, 32000
	var errs []error
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", low+rand.IntN(high-low))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no free port on loopback: %w", errors.Join(errs...))
}

// MosquittoConfig writes a configuration for Debian's Mosquitto that differs from the
// installed one only in what makes it private: the address, the places of its files and
// the user. extra are further lines.
func MosquittoConfig(path, dataDir, addr string, extra ...string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	b := fmt.Appendf(nil, "listener %s %s\nallow_anonymous true\nuser root\npersistence true\npersistence_location %s/\nlog_dest file %s/mosquitto.log\n",
		port, host, dataDir, dataDir)
	for _, l := range extra {
		b = append(append(b, l...), '\n')
	}
	return os.WriteFile(path, b, 0o600)
}
