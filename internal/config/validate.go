package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Validate checks every value, alone and against the others, and touches nothing. The error is
// Problems.
func (c Config) Validate() error { return c.validate().err() }

func (c Config) validate() Problems {
	var ps Problems
	if c.DataDir == "" || strings.ContainsRune(c.DataDir, 0) {
		ps.add("data_dir", "", "must be set")
	}
	if c.CommitGather > Duration(1e9) {
		ps.add("commit_gather", "", "%s is above 1s", c.CommitGather)
	}
	c.checkListeners(&ps)
	c.checkHTTP(&ps)
	c.checkTLS(&ps)
	c.checkProxy(&ps)
	c.Limits.check(&ps)
	c.checkAccess(&ps)
	c.Dedup.check(&ps)
	c.Devices.check(&ps)
	c.Health.check(&ps)
	checkServices(c.Services, ServiceNames(), &ps)
	c.Broker.check(&ps)
	c.Trace.check(&ps)
	eachService(c, func(name string, s serviceConfig) { s.check(name, &ps) })
	for key, peer := range map[string]string{"stt.wyoming.address": c.STT.Wyoming.Address, "tts.wyoming.address": c.TTS.Wyoming.Address} {
		if c.Wyoming.Listen != "" && peer == c.Wyoming.Listen {
			ps.add(key, "", "%s is wyoming.listen: tarsd would ask itself", peer)
		}
	}
	return ps
}

func (c Config) checkListeners(ps *Problems) {
	seen := map[string]bool{}
	for i, raw := range c.Listen {
		key := fmt.Sprintf("listen[%d]", i)
		if err := checkListenURL(raw); err != nil {
			ps.add(key, "", "%s", err)
		}
		if seen[raw] && !strings.HasSuffix(raw, ":0") {
			ps.add(key, "", "%s is there twice", raw)
		}
		seen[raw] = true
		if scheme, _, _ := strings.Cut(raw, ":"); slices.Contains([]string{"tls", "ssl", "mqtts", "wss"}, scheme) && c.TLS.Cert == "" {
			ps.add(key, "", "%s needs tls.cert and tls.key", raw)
		}
	}
}

// checkListenURL checks the form of a listener's URL.
func checkListenURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme == "" {
		return fmt.Errorf("%q is not a URL such as tcp://127.0.0.1:1883", raw)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%q: only scheme, address and path are allowed", raw)
	}
	switch u.Scheme {
	case "unix":
		switch path := u.Host + u.Path; {
		case path == "":
			return fmt.Errorf("%q has no path; write unix:///run/tarsd.sock", raw)
		case len(path) > maxSocketPath:
			return fmt.Errorf("%q: the path of a unix socket is at most %d bytes", raw, maxSocketPath)
		}
		return nil
	case "ws", "wss":
	case "tcp", "mqtt", "tls", "ssl", "mqtts":
		if u.Path != "" && u.Path != "/" {
			return fmt.Errorf("%q: %s has no path", raw, u.Scheme)
		}
	default:
		return fmt.Errorf("%q: unknown scheme %s; known are tcp, tls, ws, wss, unix", raw, u.Scheme)
	}
	return checkPort(raw, u.Port())
}

func checkPort(raw, port string) error {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		if port == "" {
			return fmt.Errorf("%q has no port", raw)
		}
		return fmt.Errorf("%q: port %s is not a number from 0 to 65535", raw, port)
	} else if strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%q: port %s is not a plain number", raw, port)
	}
	return nil
}

func (c Config) checkHTTP(ps *Problems) {
	if c.HTTPEnabled() {
		if _, port, err := net.SplitHostPort(c.HTTP.Listen); err != nil {
			ps.add("http.listen", "", "%q is not an address such as :5010 or 127.0.0.1:5010, nor off", c.HTTP.Listen)
		} else if err := checkPort(c.HTTP.Listen, port); err != nil {
			ps.add("http.listen", "", "%s", err)
		}
	}
	for i, o := range c.HTTP.AllowedOrigins {
		u, err := url.Parse(o)
		if o != "*" && (err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.TrimSuffix(u.Path, "/") != "") {
			ps.add(fmt.Sprintf("http.allowed_origins[%d]", i), "", "%q is not an origin such as https://robot.example", o)
		}
	}
}

func (c Config) checkTLS(ps *Problems) {
	t := c.TLS
	if t.Cert != "" && t.Key == "" {
		ps.add("tls.key", "", "must be set, since tls.cert is")
	}
	if t.Key != "" && t.Cert == "" {
		ps.add("tls.cert", "", "must be set, since tls.key is")
	}
	if t.ClientCA != "" && t.Cert == "" {
		ps.add("tls.client_ca", "", "has no effect without tls.cert")
	}
	if t.RequireClientCert && t.ClientCA == "" {
		ps.add("tls.require_client_cert", "", "needs tls.client_ca")
	}
	if c.Access.TLSUser && t.ClientCA == "" {
		ps.add("access.tls_user", "", "needs tls.client_ca")
	}
}

func (c Config) checkProxy(ps *Problems) {
	for i, p := range c.ProxyProtocol.Trusted {
		_, err1 := netip.ParseAddr(p)
		_, err2 := netip.ParsePrefix(p)
		if err1 != nil && err2 != nil {
			ps.add(fmt.Sprintf("proxy_protocol.trusted[%d]", i), "", "%q is neither an address nor a network such as 10.0.0.0/8", p)
		}
	}
	if c.ProxyProtocol.Enabled && len(c.ProxyProtocol.Trusted) == 0 {
		ps.add("proxy_protocol.trusted", "", "must name the proxies, since anybody could claim any address otherwise")
	}
}

// check reports values that are out of range.
func (l Limits) check(ps *Problems) {
	const billion = 1_000_000_000
	for _, r := range []struct {
		key           string
		v, least, top int64
	}{
		{"connections", int64(l.Connections), 1, 1_000_000},
		{"connections_per_address", int64(l.ConnectionsPerAddress), 1, 1_000_000},
		{"receive_maximum", int64(l.ReceiveMaximum), 1, 65535},
		{"inflight", int64(l.Inflight), 1, 65535},
		{"max_qos", int64(l.MaxQoS), 0, 2},
		{"retained_messages", int64(l.RetainedMessages), 0, billion},
		{"queue_messages", int64(l.QueueMessages), 1, billion},
		{"sessions", int64(l.Sessions), 1, billion},
		{"subscriptions", int64(l.Subscriptions), 1, billion},
		{"topic_levels", int64(l.TopicLevels), 1, 65535},
		{"topic_bytes", int64(l.TopicBytes), 1, 65535},
		{"rate.messages", int64(l.Rate.Messages), 0, billion},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add("limits."+r.key, "", "%d is not from %d to %d", r.v, r.least, r.top)
		}
	}
	for _, r := range []struct {
		key           string
		v, least, top Size
	}{
		{"preauth_bytes", l.PreauthBytes, 256, 256 * MiB},
		{"packet_bytes", l.PacketBytes, 256, 256 * MiB}, // the protocol ends at 256 MiB
		{"retained_bytes", l.RetainedBytes, 0, 1 << 40},
		{"queue_bytes", l.QueueBytes, 1 * KiB, 1 << 40},
		{"queue_total_bytes", l.QueueTotalBytes, 1 * KiB, 1 << 40},
		{"buffer_bytes", l.BufferBytes, 64 * KiB, 1 * GiB},
		{"buffer_total_bytes", l.BufferTotalBytes, 1 * MiB, 64 * GiB},
		{"rate.bytes", l.Rate.Bytes, 0, 1 << 40},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add("limits."+r.key, "", "%s is not from %s to %s", r.v, r.least, r.top)
		}
	}
	for _, r := range []struct {
		key           string
		v, least, top Duration
	}{
		{"connect_timeout", l.ConnectTimeout, Duration(1e8), Duration(6e10)},
		{"write_timeout", l.WriteTimeout, Duration(1e8), Duration(6e11)},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add("limits."+r.key, "", "%s is not from %s to %s", r.v, r.least, r.top)
		}
	}
	for i, t := range l.TopicRates {
		key := fmt.Sprintf("limits.topic_rates[%d]", i)
		if err := checkFilter(t.Filter); err != nil {
			ps.add(key+".filter", "", "%s", err)
		}
		if t.Messages < 0 || t.Bytes < 0 || t.Messages+int(t.Bytes) == 0 {
			ps.add(key, "", "needs messages or bytes above 0")
		}
	}
}

// checkFilter checks the form of a topic filter.
func checkFilter(f string) error {
	if f == "" || len(f) > 65535 || strings.ContainsRune(f, 0) {
		return fmt.Errorf("%q is not a topic filter", f)
	}
	levels := strings.Split(f, "/")
	for i, l := range levels {
		if strings.Contains(l, "#") && (l != "#" || i != len(levels)-1) {
			return fmt.Errorf("%q: # stands alone in the last level", f)
		}
		if strings.Contains(l, "+") && l != "+" {
			return fmt.Errorf("%q: + stands alone in its level", f)
		}
	}
	return nil
}

func (c Config) checkAccess(ps *Problems) {
	for _, name := range slices.Sorted(maps.Keys(c.Access.Roles)) { // a map has no order; messages do
		rules := c.Access.Roles[name]
		key := "access.roles." + name
		if name == "" || strings.ContainsAny(name, " ,\t\n\x00") {
			ps.add(key, "", "%q is not a name for a role", name)
		}
		for i, r := range rules {
			if strings.TrimSpace(r) == "" {
				ps.add(fmt.Sprintf("%s[%d]", key, i), "", "the rule is empty")
			}
		}
	}
}
