package web

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// maxBody bounds a request body in bytes, for routes that do not bound it further.
const maxBody = 1 << 20

// Status is the verdict of /healthz.
type Status string

// The verdicts. Degraded is still an answer of 200: restarting tarsd does not free a full disk,
// so a supervisor that looks at the code alone must not be told to.
const (
	OK       Status = "ok"
	Degraded Status = "degraded"
	Failed   Status = "failed"
)

// Health is the answer of /healthz. A peer that is not local sees Status alone.
type Health struct {
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the verdict
	Version string    `json:"version,omitempty"`
	Uptime  int64     `json:"uptime,omitempty"` // seconds
	Clients int       `json:"clients"`          // connected now
	Storage Storage   `json:"storage"`
	Peers   []Peer    `json:"peers,omitempty"` // the required ones
}

// Peer is the health of a service or device that has to be up.
type Peer struct {
	Name   string    `json:"name"`
	State  string    `json:"state"`
	Up     bool      `json:"up"`
	Since  time.Time `json:"since,omitzero"`
	Reason string    `json:"reason,omitempty"`
}

// Storage is the part of Health which tells of the data file.
type Storage struct {
	Degraded bool      `json:"degraded"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since,omitzero"`
}

// Options say what stands behind the routes. A nil handler answers 404; a nil Health is always
// ok and a nil Ready always true.
type Options struct {
	WebSocket http.Handler // /mqtt
	Metrics   http.Handler // /metrics
	MCP       http.Handler // /mcp; it decides itself who may call
	Session   http.Handler // /api/v1/session
	Overview  http.Handler // /api/v1/overview; it decides itself who may see it
	Camera    *Camera      // /camera/stream and /camera/snapshot
	Health    func() Health
	Ready     func() bool
	// RemoteMetrics opens /metrics and the details of /healthz to peers that are not local.
	RemoteMetrics bool
	// AllowedOrigins are origins such as "https://robot.example" from which a page may call
	// state-changing routes. Their host names are also accepted in the Host header.
	AllowedOrigins []string
	Log            zerolog.Logger
}

type handler struct {
	Options
	hosts []string // accepted in the Host header from local peers, lower case
}

// New makes the handler. It fails when an allowed origin is not of the form scheme://host[:port].
func New(o Options) (http.Handler, error) {
	h := &handler{Options: o}
	guard := http.NewCrossOriginProtection()
	for _, origin := range o.AllowedOrigins {
		if origin == "*" {
			continue // concerns WebSockets only; it must not open the other routes
		}
		if err := guard.AddTrustedOrigin(origin); err != nil {
			return nil, fmt.Errorf("allowed origin %q: %w", origin, err)
		}
		u, err := url.Parse(origin)
		if err != nil {
			return nil, fmt.Errorf("allowed origin %q: %w", origin, err)
		}
		h.hosts = append(h.hosts, strings.ToLower(u.Hostname()))
	}
	files, err := pageFiles()
	if err != nil {
		return nil, fmt.Errorf("embedded page: %w", err)
	}
	page, err := newPage(files)
	if err != nil {
		return nil, fmt.Errorf("embedded page: %w", err)
	}
	mux := http.NewServeMux()
	page.routes(mux)
	mux.HandleFunc("GET /healthz", h.healthz)
	mux.HandleFunc("GET /readyz", h.readyz)
	if o.Metrics != nil {
		mux.Handle("GET /metrics", h.localOnly(o.Metrics))
	}
	if o.Camera != nil {
		o.Camera.routes(mux)
	}
	if o.Session != nil {
		mux.Handle(SessionPath, o.Session)
	}
	if o.Overview != nil {
		mux.Handle("GET /api/v1/overview", o.Overview)
	}
	if o.MCP != nil {
		mux.Handle("/mcp", o.MCP)
	}
	if o.WebSocket != nil {
		mux.Handle("/mqtt", o.WebSocket)
	}
	return h.checkHost(headers(guard.Handler(http.MaxBytesHandler(mux, maxBody)))), nil
}

// headers are set before the handler runs and the ResponseWriter is passed on as it is, because
// a wrapped one would take the WebSocket's Hijacker away.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(self)")
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses requests of local peers that name a foreign host. A page from elsewhere can
// point its own name at 127.0.0.1 (DNS rebinding) and would then speak to tarsd with the rights
// of the loopback; the name it used is still in the Host header. Addresses cannot be rebound.
// Peers that are not local have no rights to steal and may use any name of this machine.
func (h *handler) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if localSocket(r) && !h.known(r.Host) {
			h.Log.Warn().Str("host", r.Host).Str("remote", r.RemoteAddr).Msg("request for an unknown host refused")
			http.Error(w, "unknown host name: use localhost or an address, or add the origin to http.allowed_origins",
				http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *handler) known(hostport string) bool {
	host := hostport
	if name, _, err := net.SplitHostPort(hostport); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true // resolvers never send these to the network (RFC 6761)
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	return slices.Contains(h.hosts, host)
}

// local tells whether the client is on this machine, and not behind a reverse proxy on it.
func local(r *http.Request) bool {
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return localSocket(r)
}

// localSocket tells whether the peer is on this machine: loopback, or a unix socket, whose peers
// have no address.
func localSocket(r *http.Request) bool {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr == "" || strings.HasPrefix(r.RemoteAddr, "@") || strings.HasPrefix(r.RemoteAddr, "/")
	}
	return ap.Addr().Unmap().IsLoopback()
}

func (h *handler) localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.RemoteMetrics && !local(r) {
			http.Error(w, "metrics are served to local peers only", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *handler) healthz(w http.ResponseWriter, r *http.Request) {
	v := Health{Status: OK}
	if h.Health != nil {
		v = h.Health()
	}
	code := http.StatusOK
	if v.Status == Failed {
		code = http.StatusServiceUnavailable
	}
	if !h.RemoteMetrics && !local(r) {
		writeJSON(w, code, struct {
			Status Status `json:"status"`
		}{v.Status})
		return
	}
	writeJSON(w, code, v)
}

func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	ready, code := h.Ready == nil || h.Ready(), http.StatusOK
	if !ready {
		code = http.StatusServiceUnavailable
	}
	writeJSON(w, code, struct {
		Ready bool `json:"ready"`
	}{ready})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // fails only when the peer has gone
}
