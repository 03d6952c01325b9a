package config

import (
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	Key   string // path of the key, "limits.packet_bytes"; empty when it is the file as a whole
	Where string // "tarsd.yaml:12", "TARSD_LIMITS_PACKET_BYTES", "--set"; empty when not known
	Text  string
}

// Error implements error.
func (p Problem) Error() string {
	var b strings.Builder
	for _, s := range []string{p.Where, p.Key} {
		if s != "" {
			b.WriteString(s + ": ")
		}
	}
	return b.String() + p.Text
}

// Problems are all that is wrong, in the order of the sources.
type Problems []Problem

// Error is one line for one problem, and a headed list for several.
func (ps Problems) Error() string {
	if len(ps) == 1 {
		return "configuration: " + ps[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "configuration: %d problems", len(ps))
	for _, p := range ps {
		b.WriteString("\n  " + p.Error())
	}
	return b.String()
}

// err is ps as an error, nil when there is none.
func (ps Problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

func (ps *Problems) add(key, where, format string, args ...any) {
	*ps = append(*ps, Problem{Key: key, Where: where, Text: fmt.Sprintf(format, args...)})
}

// unknown words the complaint about a key that does not exist, with the nearest one that does.
func unknown(name string, known []string) string {
	if best := nearest(name, known); best != "" {
		return "unknown key; did you mean " + best + "?"
	}
	return "unknown key"
}

// nearest is the one of known that name may have been meant for; empty if none is near.
func nearest(name string, known []string) string {
	best, dist := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k); d <= dist {
			best, dist = k, d-1
		}
	}
	return best
}

// distance is the number of letters to change, add or remove to get from a to b.
func distance(a, b string) int {
	const long = 64 // names of keys are short; what is longer is not near to any of them
	if len(a) > long || len(b) > long {
		return long
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// sorted returns a sorted copy.
func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
