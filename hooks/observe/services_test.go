package observe

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A process without a broker shows its services.
func TestMetricsOfServices(t *testing.T) {
	t.Parallel()
	h := NewMetrics(MetricsOptions{
		Services: func() []Service { return []Service{{"stt", true, 0, 0}, {"tts", false, 7, 3}} },
		Spans:    func() (sent, dropped uint64) { return 5, 2 },
	})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	assert.Equal(t, 200, w.Code)
	body := w.Body.String()
	for _, line := range []string{
		`tarsd_service_up{service="stt"} 1`, `tarsd_service_restarts_total{service="stt"} 0`,
		`tarsd_service_up{service="tts"} 0`, `tarsd_service_restarts_total{service="tts"} 7`,
		`tarsd_service_dropped_total{service="tts"} 3`,
		"tarsd_trace_spans_sent_total 5", "tarsd_trace_spans_dropped_total 2",
	} {
		assert.Contains(t, body, line+"\n")
	}
	assert.NotContains(t, body, "tarsd_clients_connected")
}
