package observe

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// topClients bounds the series that carry a client id, because ids are chosen by strangers:
// only the worst by drops and by queue are shown.
const topClients = 50

// Storage is what the metrics show of the data file.
type Storage struct {
	Degraded   bool
	Commits    uint64
	Records    uint64
	Failures   uint64        // commits that failed
	Pending    int           // bytes that wait for a commit
	LastCommit time.Duration // how long the last commit took
	FileBytes  int64
}

// MetricsOptions of NewMetrics. What is nil leaves its series out; Engine is nil in a process
// without a broker.
type MetricsOptions struct {
	Engine      Engine
	Version     string
	Storage     func() Storage
	Connections func() int    // sockets now, with those that did not log in yet
	AuditLost   func() uint64 // such as Audit.Lost
	Services    func() []Service
	Spans       func() (sent, dropped uint64) // of tracing
	Peers       func() []Peer
	Log         zerolog.Logger
}

// NewMetrics makes the handler of /metrics. It has its own registry, so that two brokers in one
// process, as in tests, do not meet.
func NewMetrics(o MetricsOptions) http.Handler {
	reg := prometheus.NewRegistry()
	if o.Engine != nil {
		reg.MustRegister(newCollector(o))
	}
	if o.Peers != nil {
		reg.MustRegister(newPeerCollector(o.Peers))
	}
	reg.MustRegister(
		newServiceCollector(o),
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		ErrorLog:            errorLog{o.Log},
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: 4, // a scrape copies the list of clients
		Timeout:             10 * time.Second,
	})
}

type errorLog struct{ log zerolog.Logger }

func (l errorLog) Println(v ...any) { l.log.Warn().Interface("err", v).Msg("metrics") }

// series is a metric which is one number of the engine's Stats.
type series struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*delivery.Stats) float64
}

type collector struct {
	o       MetricsOptions
	stats   []series
	dropped *prometheus.Desc
	build   *prometheus.Desc

	clientDropped, clientQueued, clientBuffered *prometheus.Desc

	connections, auditLost                                                 *prometheus.Desc
	degraded, commits, records, failures, pending, lastCommit, storageFile *prometheus.Desc
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("tarsd_"+name, help, labels, nil)
}

func newCollector(o MetricsOptions) *collector {
	c := &collector{
		o:              o,
		dropped:        desc("dropped_total", "Messages dropped or refused, by reason.", "reason"),
		build:          desc("build_info", "Always 1.", "version"),
		clientDropped:  desc("client_dropped_total", "Messages dropped for a client, by reason; the 50 clients with most.", "client", "reason"),
		clientQueued:   desc("client_queued_messages", "Messages in a client's queue; the 50 longest.", "client"),
		clientBuffered: desc("client_buffered_bytes", "Bytes that wait for a client's socket; the 50 with the longest queues.", "client"),
		connections:    desc("connections", "Open sockets, with those that did not log in yet."),
		auditLost:      desc("audit_lost_total", "Audit events that found their queue full."),
		degraded:       desc("storage_degraded", "1 while the data file cannot be written."),
		commits:        desc("storage_commits_total", "Transactions written."),
		records:        desc("storage_records_total", "Records written."),
		pending:        desc("storage_pending_bytes", "Bytes that wait for a commit."),
		failures:       desc("storage_failures_total", "Commits that failed; they are tried again."),
		lastCommit:     desc("storage_last_commit_seconds", "How long the last commit took."),
		storageFile:    desc("storage_file_bytes", "Size of the data file."),
	}
	gauge := func(name, help string, f func(*delivery.Stats) float64) {
		c.stats = append(c.stats, series{desc(name, help), prometheus.GaugeValue, f})
	}
	count := func(name, help string, f func(*delivery.Stats) uint64) {
		c.stats = append(c.stats, series{desc(name, help), prometheus.CounterValue,
			func(s *delivery.Stats) float64 { return float64(f(s)) }})
	}
	gauge("clients_connected", "Clients connected.", func(s *delivery.Stats) float64 { return float64(s.ClientsConnected) })
	gauge("clients_sessions", "Sessions, connected or kept.", func(s *delivery.Stats) float64 { return float64(s.ClientsTotal) })
	gauge("clients_maximum", "Most clients connected at a time.", func(s *delivery.Stats) float64 { return float64(s.ClientsMaximum) })
	gauge("subscriptions", "Subscriptions.", func(s *delivery.Stats) float64 { return float64(s.Subscriptions) })
	gauge("subscriptions_shared", "Shared subscriptions.", func(s *delivery.Stats) float64 { return float64(s.SharedSubscriptions) })
	gauge("retained_messages", "Retained messages.", func(s *delivery.Stats) float64 { return float64(s.Retained) })
	gauge("retained_bytes", "Bytes of retained messages.", func(s *delivery.Stats) float64 { return float64(s.RetainedBytes) })
	gauge("queued_messages", "Messages in all queues.", func(s *delivery.Stats) float64 { return float64(s.Queued) })
	gauge("queued_bytes", "Bytes in all queues.", func(s *delivery.Stats) float64 { return float64(s.QueuedBytes) })
	gauge("inflight_messages", "Messages sent and not acknowledged.", func(s *delivery.Stats) float64 { return float64(s.Inflight) })
	gauge("start_time_seconds", "Unix time of the start.", func(s *delivery.Stats) float64 { return float64(s.Started.Unix()) })
	count("packets_received_total", "MQTT packets received.", func(s *delivery.Stats) uint64 { return s.MessagesReceived })
	count("packets_sent_total", "MQTT packets sent.", func(s *delivery.Stats) uint64 { return s.MessagesSent })
	count("publish_received_total", "PUBLISH packets received.", func(s *delivery.Stats) uint64 { return s.PublishReceived })
	count("publish_sent_total", "PUBLISH packets sent.", func(s *delivery.Stats) uint64 { return s.PublishSent })
	count("bytes_received_total", "Bytes received.", func(s *delivery.Stats) uint64 { return s.BytesReceived })
	count("bytes_sent_total", "Bytes sent.", func(s *delivery.Stats) uint64 { return s.BytesSent })
	count("connects_total", "Clients let in.", func(s *delivery.Stats) uint64 { return s.Connects })
	count("connects_refused_total", "Clients refused.", func(s *delivery.Stats) uint64 { return s.Refused })
	return c
}

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, s := range c.stats {
		ch <- s.desc
	}
	for _, d := range []*prometheus.Desc{c.dropped, c.build, c.clientDropped, c.clientQueued, c.clientBuffered,
		c.connections, c.auditLost, c.degraded, c.commits, c.records, c.failures, c.pending, c.lastCommit, c.storageFile} {
		ch <- d
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, kind prometheus.ValueType, v float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
		}
		ch <- prometheus.MustNewConstMetric(d, kind, v, labels...)
	}
	st := c.o.Engine.Stats()
	for _, s := range c.stats {
		put(s.desc, s.kind, s.value(&st))
	}
	for reason, n := range st.Dropped {
		put(c.dropped, prometheus.CounterValue, float64(n), reason)
	}
	put(c.build, prometheus.GaugeValue, 1, c.o.Version)
	if c.o.Connections != nil {
		put(c.connections, prometheus.GaugeValue, float64(c.o.Connections()))
	}
	if c.o.AuditLost != nil {
		put(c.auditLost, prometheus.CounterValue, float64(c.o.AuditLost()))
	}
	if c.o.Storage != nil {
		s := c.o.Storage()
		degraded := 0.0
		if s.Degraded {
			degraded = 1
		}
		put(c.degraded, prometheus.GaugeValue, degraded)
		put(c.commits, prometheus.CounterValue, float64(s.Commits))
		put(c.records, prometheus.CounterValue, float64(s.Records))
		put(c.failures, prometheus.CounterValue, float64(s.Failures))
		put(c.pending, prometheus.GaugeValue, float64(s.Pending))
		put(c.lastCommit, prometheus.GaugeValue, s.LastCommit.Seconds())
		put(c.storageFile, prometheus.GaugeValue, float64(s.FileBytes))
	}
	c.clients(put)
}

// clients emits the series that carry a client id.
func (c *collector) clients(put func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
	all := c.o.Engine.Clients()
	sum := func(i *delivery.ClientInfo) (n uint64) {
		for _, d := range i.Dropped {
			n += d
		}
		return n
	}
	for _, i := range top(all, sum) {
		for reason, n := range i.Dropped {
			put(c.clientDropped, prometheus.CounterValue, float64(n), i.ID, reason)
		}
	}
	for _, i := range top(all, func(i *delivery.ClientInfo) uint64 { return uint64(i.Queued) }) {
		put(c.clientQueued, prometheus.GaugeValue, float64(i.Queued), i.ID)
		put(c.clientBuffered, prometheus.GaugeValue, float64(i.BufferedBytes), i.ID)
	}
}

// top returns those with the largest weights above zero.
func top(all []delivery.ClientInfo, weight func(*delivery.ClientInfo) uint64) []*delivery.ClientInfo {
	type ranked struct {
		info   *delivery.ClientInfo
		weight uint64
	}
	var rank []ranked
	for i := range all {
		if w := weight(&all[i]); w > 0 {
			rank = append(rank, ranked{&all[i], w})
		}
	}
	slices.SortFunc(rank, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.weight, a.weight), cmp.Compare(a.info.ID, b.info.ID))
	})
	out := make([]*delivery.ClientInfo, 0, topClients)
	for _, r := range rank[:min(len(rank), topClients)] {
		out = append(out, r.info)
	}
	return out
}
