package trace

import (
	"strings"
	"time"
	"unicode/utf8"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/tarsd/tarsd/services/client"
)

// encode makes the request of a batch: a resource for each service, in the order in which they
// come first. TracesData is on the wire what the collector's export request is, and does not
// bring gRPC with it.
func encode(batch []span, version string) *otlp.TracesData {
	data := &otlp.TracesData{}
	of := map[string]*otlp.ScopeSpans{}
	for i := range batch {
		s := &batch[i]
		scope := of[s.Client]
		if scope == nil {
			scope = &otlp.ScopeSpans{Scope: &common.InstrumentationScope{Name: "tarsd", Version: version}}
			of[s.Client] = scope
			data.ResourceSpans = append(data.ResourceSpans, &otlp.ResourceSpans{
				Resource: &resource.Resource{Attributes: []*common.KeyValue{
					attribute("service.name", s.Client), attribute("service.namespace", "tarsd"), attribute("service.version", version),
				}},
				ScopeSpans: []*otlp.ScopeSpans{scope},
			})
		}
		scope.Spans = append(scope.Spans, s.encode())
	}
	return data
}

// encode follows the semantic conventions for messaging.
func (s *span) encode() *otlp.Span {
	kind, operation, name := otlp.Span_SPAN_KIND_CONSUMER, "process", "handle "
	if s.Kind == client.SpanPublish {
		kind, operation, name = otlp.Span_SPAN_KIND_PRODUCER, "send", "publish "
	}
	out := &otlp.Span{
		TraceId: s.ctx.trace[:], SpanId: s.ctx.span[:], Flags: 1, Name: name + valid(s.Topic), Kind: kind,
		StartTimeUnixNano: nano(s.start), EndTimeUnixNano: nano(s.end),
		Attributes: []*common.KeyValue{
			attribute("messaging.system", "mqtt"),
			attribute("messaging.operation.type", operation),
			attribute("messaging.destination.name", s.Topic),
		},
	}
	if s.parent != [8]byte{} {
		out.ParentSpanId = s.parent[:]
	}
	for _, a := range [...][2]string{{"messaging.message.conversation_id", s.ID}, {"tars.turn", s.Turn.ID}, {"tars.origin", s.Turn.Origin}} {
		if a[1] != "" {
			out.Attributes = append(out.Attributes, attribute(a[0], a[1]))
		}
	}
	if s.failed {
		out.Status = &otlp.Status{Code: otlp.Status_STATUS_CODE_ERROR, Message: s.err}
	}
	return out
}

func attribute(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: valid(value)}}}
}

// valid makes text that protobuf takes.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func nano(t time.Time) uint64 { return uint64(max(t.UnixNano(), 0)) } //nolint:gosec // not negative

// cut bounds the text of an error.
func cut(s string) string {
	if len(s) > textBytes {
		n := textBytes
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n] + "..."
	}
	return valid(s)
}
