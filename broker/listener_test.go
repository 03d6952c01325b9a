package broker

import "net"

// serverFunc is a Server.
type serverFunc func(nc net.Conn, info Info)

// Serve implements Server.
func (f serverFunc) Serve(nc net.Conn, info Info) { f(nc, info) }
