package app

import (
	"cmp"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/health"
)

// What of many is shown on the page; how many there are is said beside it.
const (
	shownClients = 500
	shownFilters = 50
)

// Overview is what the page shows of this process and of everybody who is connected to it.
type Overview struct {
	Version     string           `json:"version"`
	Started     time.Time        `json:"started"`
	Now         time.Time        `json:"now"`
	Health      string           `json:"health"` // verdict of /healthz
	Reason      string           `json:"reason,omitempty"`
	Peers       []health.Peer    `json:"peers"`
	Services    []ServiceStatus  `json:"services"` // of this process
	Clients     []OverviewClient `json:"clients"`
	ClientCount int              `json:"client_count"`
	Broker      OverviewBroker   `json:"broker"`
	Machine     Machine          `json:"machine"`
}

// OverviewClient is a session of the broker. Figures count since it began.
type OverviewClient struct {
	ID            string            `json:"id"`
	User          string            `json:"user,omitempty"`
	Roles         []string          `json:"roles,omitempty"`
	Address       string            `json:"address"`
	Connected     bool              `json:"connected"`
	Since         time.Time         `json:"since"` // of the connection, or of its loss
	LastPacket    time.Time         `json:"last_packet,omitzero"`
	Subscriptions []string          `json:"subscriptions"`
	Filters       int               `json:"filters"` // how many subscriptions there are
	Received      uint64            `json:"received"`
	Sent          uint64            `json:"sent"`
	Queued        int               `json:"queued"`
	Inflight      int               `json:"inflight"`
	QueuedBytes   int64             `json:"queued_bytes"` // in the queue and for the socket
	Dropped       map[string]uint64 `json:"dropped,omitempty"`
}

// OverviewBroker is the broker in figures since its start.
type OverviewBroker struct {
	Received      uint64            `json:"received"` // messages
	Sent          uint64            `json:"sent"`
	ReceivedBytes uint64            `json:"received_bytes"`
	SentBytes     uint64            `json:"sent_bytes"`
	Subscriptions int               `json:"subscriptions"`
	Retained      int               `json:"retained"`
	RetainedBytes int64             `json:"retained_bytes"`
	Queued        int               `json:"queued"`
	Inflight      int               `json:"inflight"`
	Dropped       map[string]uint64 `json:"dropped,omitempty"`
	Refused       uint64            `json:"refused"` // connections
	FileBytes     int64             `json:"file_bytes"`
	StorageReason string            `json:"storage_reason,omitempty"`
}

// Machine is what this machine has left. Zero: not known.
type Machine struct {
	ResidentBytes  uint64  `json:"resident_bytes"` // of this process
	MemoryFree     uint64  `json:"memory_free"`
	MemoryTotal    uint64  `json:"memory_total"`
	DiskFree       uint64  `json:"disk_free"` // where the data is
	DiskTotal      uint64  `json:"disk_total"`
	Temperature    float64 `json:"temperature,omitzero"` // of the hottest sensor, degrees Celsius
	LoadPerMinute1 float64 `json:"load1"`                // processes that run or want to, mean of a minute
	Processors     int     `json:"processors"`
}

// webOverview answers those who may see the broker's figures on the bus.
func (a *App) webOverview(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	const figures = "$SYS/broker/#"
	status, _ := a.signIn(r, figures, func(p *delivery.Peer) bool { return a.policy.MaySubscribe(p, figures) })
	if status != 0 {
		http.Error(w, http.StatusText(status), status)
		return
	}
	answer(w, a.overview())
}

func (a *App) overview() Overview {
	s, b, f := a.status(), a.engine.Stats(), a.storageFigures()
	o := Overview{
		Version: s.Version, Started: s.Started, Now: time.Now(), Health: s.Health, Reason: s.Reason, Peers: a.peers.Report().Peers, Services: s.Services,
		Broker: OverviewBroker{
			Received: b.PublishReceived, Sent: b.PublishSent, ReceivedBytes: b.BytesReceived, SentBytes: b.BytesSent,
			Subscriptions: b.Subscriptions, Retained: b.Retained, RetainedBytes: b.RetainedBytes, Queued: b.Queued, Inflight: b.Inflight,
			Dropped: b.Dropped, Refused: b.Refused, FileBytes: f.FileBytes, StorageReason: a.db.State().Reason,
		},
		Machine: machine(a.cfg.DataDir),
	}
	all := a.engine.Clients()
	o.ClientCount = len(all)
	slices.SortFunc(all, func(a, b delivery.ClientInfo) int {
		if a.Connected != b.Connected {
			if a.Connected {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.ID, b.ID)
	})
	for _, c := range all[:min(len(all), shownClients)] {
		o.Clients = append(o.Clients, OverviewClient{
			ID: c.ID, User: c.User, Roles: c.Roles, Address: c.Remote, Connected: c.Connected, Since: c.Since, LastPacket: c.LastPacket,
			Subscriptions: c.Subscriptions[:min(len(c.Subscriptions), shownFilters)], Filters: len(c.Subscriptions),
			Received: c.PublishReceived, Sent: c.PublishSent, Queued: c.Queued, Inflight: c.Inflight,
			QueuedBytes: c.QueuedBytes + c.BufferedBytes, Dropped: c.Dropped,
		})
	}
	return o
}

// machine asks the system. What it does not say stays zero.
func machine(dataDir string) Machine {
	m := Machine{Processors: processors()}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dataDir, &fs); err == nil {
		size := uint64(fs.Bsize) //nolint:gosec // a block's size is above 0
		m.DiskFree, m.DiskTotal = fs.Bavail*size, fs.Blocks*size
	}
	if pages := number(fields("/proc/self/statm"), 1); pages > 0 {
		m.ResidentBytes = uint64(pages) * uint64(os.Getpagesize()) //nolint:gosec // both are above 0
	}
	m.LoadPerMinute1 = number(fields("/proc/loadavg"), 0)
	b, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(b)) {
		switch f := strings.Fields(line); {
		case len(f) < 2:
		case f[0] == "MemTotal:":
			m.MemoryTotal = uint64(number(f, 1)) << 10
		case f[0] == "MemAvailable:":
			m.MemoryFree = uint64(number(f, 1)) << 10
		}
	}
	sensors, _ := filepath.Glob("/sys/class/thermal/thermal_zone*/temp") // the pattern is good
	for _, name := range sensors {
		m.Temperature = max(m.Temperature, number(fields(name), 0)/1000)
	}
	return m
}

func processors() int {
	b, _ := os.ReadFile("/proc/cpuinfo")
	return strings.Count(string(b), "processor\t:")
}

func fields(file string) []string {
	b, _ := os.ReadFile(file)
	return strings.Fields(string(b))
}

// number is a field as a number; 0 if it is none.
func number(f []string, i int) float64 {
	if i >= len(f) {
		return 0
	}
	v, err := strconv.ParseFloat(f[i], 64)
	if err != nil || v < 0 {
		return 0
	}
	return v
}
