package broker

import (
	"net"
	"net/netip"
	"sync"
)

// Reasons why caps refuse a connection.
const (
	refusedTotal   = "connection_limit"
	refusedAddress = "address_limit"
)

// caps counts connections, authenticated or not, in total and for each address. An address is
// one IPv4 address or one IPv6 /64, because a /64 is what a single machine is given to choose
// from. Loopback, unix and in-memory connections have no limit per address: they all look
// alike. In-memory ones are counted but never refused, so that a flood from the network cannot
// lock our own services out.
type caps struct {
	total, perAddr int

	mu    sync.Mutex
	n     int
	addrs map[netip.Prefix]int
}

// newCaps makes caps for so many connections; zero or less is no limit.
func newCaps(total, perAddr int) *caps {
	return &caps{total: total, perAddr: perAddr, addrs: map[netip.Prefix]int{}}
}

// enter counts a connection. The reason is empty if it is admitted: release must then be
// called at its end, once or more often. Otherwise release is nil.
func (c *caps) enter(info Info) (release func(), reason string) {
	key, limited := addressKey(info)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !info.Memory && c.total > 0 && c.n >= c.total {
		return nil, refusedTotal
	}
	if limited && c.perAddr > 0 && c.addrs[key] >= c.perAddr {
		return nil, refusedAddress
	}
	c.n++
	if limited {
		c.addrs[key]++
	}
	return sync.OnceFunc(func() { c.leave(key, limited) }), ""
}

func (c *caps) leave(key netip.Prefix, limited bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if !limited {
		return
	}
	if c.addrs[key]--; c.addrs[key] == 0 {
		delete(c.addrs, key) // or the map would keep every address ever seen
	}
}

// count is the number of connections.
func (c *caps) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// addressKey is what connections of one machine have in common; false if it has no limit.
func addressKey(info Info) (netip.Prefix, bool) {
	if info.Memory {
		return netip.Prefix{}, false
	}
	ip, ok := addrIP(info.Remote)
	if !ok || ip.IsLoopback() {
		return netip.Prefix{}, false
	}
	bits := 64 // what one customer has
	if ip.Is4() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		bits = ip.BitLen() // on a network at home each machine has its own
	}
	p, err := ip.WithZone("").Prefix(bits)
	return p, err == nil
}

// addrIP is the IP address in a; false if there is none, as for unix and in-memory addresses.
func addrIP(a net.Addr) (netip.Addr, bool) {
	var ip netip.Addr
	switch t := a.(type) {
	case nil:
	case *net.TCPAddr:
		if t != nil {
			ip = t.AddrPort().Addr()
		}
	default:
		if ap, err := netip.ParseAddrPort(a.String()); err == nil {
			ip = ap.Addr()
		}
	}
	return ip.Unmap(), ip.IsValid()
}
