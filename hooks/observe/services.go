package observe

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Service is what the metrics show of a service of this process.
type Service struct {
	Name     string
	Up       bool   // it has said that it is ready, and has not failed since
	Restarts uint64 // failed runs
	Dropped  uint64 // messages that its client dropped, since its last start
}

// serviceCollector shows services and what became of their spans.
type serviceCollector struct {
	services func() []Service
	spans    func() (sent, dropped uint64)

	up, restarts, dropped, spansSent, spansDropped *prometheus.Desc
}

func newServiceCollector(o MetricsOptions) *serviceCollector {
	return &serviceCollector{
		services: o.Services, spans: o.Spans,
		up:           desc("service_up", "1 while a service of this process is ready.", "service"),
		restarts:     desc("service_restarts_total", "Times that a service failed and was started again.", "service"),
		dropped:      desc("service_dropped_total", "Messages that the client of a service dropped since its last start.", "service"),
		spansSent:    desc("trace_spans_sent_total", "Spans that the collector has taken."),
		spansDropped: desc("trace_spans_dropped_total", "Spans that were dropped because the collector did not take them."),
	}
}

func (c *serviceCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.up, c.restarts, c.dropped, c.spansSent, c.spansDropped} {
		ch <- d
	}
}

func (c *serviceCollector) Collect(ch chan<- prometheus.Metric) {
	if c.services != nil {
		for _, s := range c.services() {
			ch <- prometheus.MustNewConstMetric(c.up, prometheus.GaugeValue, number(s.Up), s.Name)
			ch <- prometheus.MustNewConstMetric(c.restarts, prometheus.CounterValue, float64(s.Restarts), s.Name)
			ch <- prometheus.MustNewConstMetric(c.dropped, prometheus.CounterValue, float64(s.Dropped), s.Name)
		}
	}
	if c.spans != nil {
		sent, dropped := c.spans()
		ch <- prometheus.MustNewConstMetric(c.spansSent, prometheus.CounterValue, float64(sent))
		ch <- prometheus.MustNewConstMetric(c.spansDropped, prometheus.CounterValue, float64(dropped))
	}
}
