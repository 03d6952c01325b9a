// Package broker is the embedded MQTT broker's outside: listeners, connections, their limits and
// their buffers. The library answers control packets; messages are taken out of the byte stream
// before it and given to a Receiver, see hooks/delivery.
package broker

import (
	"crypto/tls"
	"net"
)

// Info tells where a connection comes from.
type Info struct {
	Listener string               // URL of the listener with its real address: "tcp://127.0.0.1:1883", "memory"
	Remote   net.Addr             // the client; behind a trusted proxy the address that the proxy names
	Local    net.Addr             // this end; behind a trusted proxy the address that the client dialled
	TLS      *tls.ConnectionState // nil without TLS; complete, the handshake is over
	Memory   bool                 // from inside this process
	SignedIn func() string        // user of the browser session that came with a WebSocket, empty when it has ended; may be nil
}

// Server runs one connection to its end, in the calling goroutine, and closes it. *Broker is
// the one that counts; tests have others.
type Server interface {
	Serve(nc net.Conn, info Info)
}

var _ Server = (*Broker)(nil)
