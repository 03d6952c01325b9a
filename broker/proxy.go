package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
)

// proxyMax bounds the part of a PROXY header after its first 16 bytes. HAProxy stays below 1 KiB
// even with the TLVs of a client certificate.
const proxyMax = 4 << 10

// proxySignature starts a header of version 2.
const proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

// errNoProxy means that a trusted proxy did not send a header.
var errNoProxy = errors.New("proxy protocol: no version 2 header")

// ProxyOptions turn the PROXY protocol, version 2, on.
type ProxyOptions struct {
	// Trusted are the proxies. They must send a header. Everybody else is a client, and a
	// header from there is just a bad packet.
	Trusted []netip.Prefix
}

// NewProxyOptions parses the trusted proxies, each an address or a CIDR block.
func NewProxyOptions(trusted []string) (*ProxyOptions, error) {
	o := &ProxyOptions{}
	var errs []error
	for _, s := range trusted {
		p, err := netip.ParsePrefix(s)
		if a, aerr := netip.ParseAddr(s); aerr == nil {
			a = a.Unmap().WithZone("")
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%q is not an address or a CIDR block", s))
			continue
		}
		o.Trusted = append(o.Trusted, p.Masked())
	}
	return o, errors.Join(errs...)
}

// trusts reports whether a is one of the proxies. It is false for a nil receiver.
func (o *ProxyOptions) trusts(a net.Addr) bool {
	if o == nil {
		return false
	}
	ip, ok := addrIP(a)
	if !ok {
		return false
	}
	ip = ip.WithZone("")
	for _, p := range o.Trusted {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// proxyHeader is what a PROXY header says. src is invalid if the proxy speaks for itself, as
// its health checks do.
type proxyHeader struct {
	src, dst netip.AddrPort
}

// readProxy reads one header and not a byte more.
func readProxy(r io.Reader) (proxyHeader, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return proxyHeader{}, fmt.Errorf("proxy protocol: %w", err)
	}
	if string(head[:12]) != proxySignature {
		return proxyHeader{}, errNoProxy
	}
	n := int(binary.BigEndian.Uint16(head[14:]))
	if n > proxyMax {
		return proxyHeader{}, fmt.Errorf("proxy protocol: header of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return proxyHeader{}, fmt.Errorf("proxy protocol: %w", noEOF(err))
	}
	switch head[12] {
	case 0x20: // LOCAL: the addresses are to be ignored
		return proxyHeader{}, nil
	case 0x21:
		return proxyAddresses(head[13], body)
	}
	return proxyHeader{}, fmt.Errorf("proxy protocol: version and command %#x", head[12])
}

// proxyAddresses parses the addresses; the TLVs after them are of no interest. A client without
// an IP address is refused: it must not pass for one on the proxy's own machine.
func proxyAddresses(family byte, b []byte) (proxyHeader, error) {
	var size int // of an address
	switch family {
	case 0x11: // TCP over IPv4
		size = 4
	case 0x21: // TCP over IPv6
		size = 16
	default:
		return proxyHeader{}, fmt.Errorf("proxy protocol: address family %#x", family)
	}
	if len(b) < 2*size+4 {
		return proxyHeader{}, errors.New("proxy protocol: short address")
	}
	src, _ := netip.AddrFromSlice(b[:size])
	dst, _ := netip.AddrFromSlice(b[size : 2*size])
	return proxyHeader{
		src: netip.AddrPortFrom(src.Unmap(), binary.BigEndian.Uint16(b[2*size:])),
		dst: netip.AddrPortFrom(dst.Unmap(), binary.BigEndian.Uint16(b[2*size+2:])),
	}, nil
}

// apply puts the addresses of the header into info, whose Remote is the proxy. A loopback
// client of a proxy on another machine is on that machine and must not pass for one on ours: it
// keeps the proxy's address.
func (h proxyHeader) apply(info *Info) {
	if !h.src.IsValid() {
		return
	}
	if proxy, _ := addrIP(info.Remote); h.src.Addr().IsLoopback() && !proxy.IsLoopback() {
		return
	}
	info.Remote = net.TCPAddrFromAddrPort(h.src)
	info.Local = net.TCPAddrFromAddrPort(h.dst)
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
