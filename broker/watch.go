package broker

import (
	"net"
	"time"
)

// watchProbes is how many probes of the link go into the time of WatchLink, after a silence of as long
// as two of them.
const watchProbes = 3

// WatchLink lets the system look after the link in place of the keep alive: within this time, a second at
// least, a peer that is gone is noticed, and with it that nobody acknowledges what was sent. It reports
// whether that works here: behind a proxy or in a WebSocket the link is not the client's. In that case
// nothing has changed. Call it before Attach.
func (c *Conn) WatchLink(within time.Duration) bool {
	if c.info.Memory {
		return true // the end of a process's own client is never lost
	}
	nc := c.nc
	if c.info.Remote != nil && c.info.Remote.String() != nc.RemoteAddr().String() {
		return false
	}
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS
		nc = t.NetConn()
	}
	switch t := nc.(type) {
	case *net.UnixConn:
		return true
	case *net.TCPConn:
		within = max(within, time.Second*(watchProbes+2))
		step := within / (watchProbes + 2)
		err := t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 2 * step, Interval: step, Count: watchProbes})
		return err == nil && userTimeout(t, within) == nil
	}
	return false
}
