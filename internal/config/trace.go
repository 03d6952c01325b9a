package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Trace is where spans of what the services do are sent.
type Trace struct {
	Endpoint URL               `yaml:"endpoint" shown:"off" doc:"OpenTelemetry collector that spans are sent to by OTLP over HTTP (protobuf), such as http://collector:4318; without a path, /v1/traces is added."`
	Headers  map[string]Secret `yaml:"headers" shown:"none" doc:"Headers of the requests to it, such as {authorization: Bearer …}; TARSD_TRACE_HEADERS_AUTHORIZATION sets one."`
	Queue    int               `yaml:"queue" doc:"Spans that wait for the collector; further ones are dropped and counted."`
}

func (t Trace) check(ps *Problems) {
	if t.Queue < 1 || t.Queue > 1_000_000 {
		ps.add("trace.queue", "", "%d is not from 1 to 1000000", t.Queue)
	}
	plain := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	for _, name := range slices.Sorted(maps.Keys(t.Headers)) {
		if !plain.MatchString(name) {
			ps.add("trace.headers."+name, "", "%q is not the name of a header", name)
		} else if strings.ContainsFunc(t.Headers[name].Reveal(), unicode.IsControl) {
			ps.add("trace.headers."+name, "", "is not a value that a header can have")
		}
	}
	if t.Endpoint.IsZero() {
		return
	}
	if err := checkURL(t.Endpoint, []string{"http", "https"}, "http, https"); err != nil {
		ps.add("trace.endpoint", "", "%s", err)
	}
}
