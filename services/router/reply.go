package router

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReply bounds the text of one answer that is kept, in bytes. A model that says more is cut.
const maxReply = 64 << 10

// reply is the text of one answer as it arrives: what came, and how much of it was said.
type reply struct {
	text   strings.Builder
	said   int  // bytes of text that were handed out
	next   int  // sequence number of the next delta; -1 before the first
	broken bool // a delta is missing: the rest comes with the final response
	done   bool
}

func newReply() *reply { return &reply{next: -1} }

// add takes one delta. Deltas after a gap are not used: speaking round a hole would change the
// meaning, and the final response has the whole text. A repeated delta is ignored. Streams
// begin at 0 or at 1.
func (r *reply) add(seq *int, delta string) {
	if r.done || r.broken {
		return
	}
	if seq != nil {
		switch {
		case r.next < 0 && *seq > 1, r.next >= 0 && *seq > r.next:
			r.broken = true
			return
		case r.next >= 0 && *seq < r.next:
			return
		}
		r.next = *seq + 1
	}
	if room := maxReply - r.text.Len(); len(delta) > room {
		delta = strings.ToValidUTF8(delta[:room], "")
	}
	r.text.WriteString(delta)
}

// pieces hands out what can be said now; with final everything that is left.
func (r *reply) pieces(s *splitter, final bool) []string {
	return r.cut(r.text.String(), s, final && !r.broken)
}

// cut hands out the pieces of text behind what was said.
func (r *reply) cut(text string, s *splitter, final bool) []string {
	var out []string
	for r.said < len(text) {
		n := s.cut(text[r.said:], final)
		if n == 0 {
			break
		}
		if piece := strings.TrimSpace(text[r.said : r.said+n]); speakable(piece) {
			out = append(out, piece)
		}
		r.said += n
	}
	return out
}

// finish reconciles the stream with the final text and hands out what was not said yet. Nothing
// is said twice: the place to go on is found by what was said, whatever the spaces.
func (r *reply) finish(full string, s *splitter) []string {
	r.done = true
	if len(full) > maxReply {
		full = strings.ToValidUTF8(full[:maxReply], "")
	}
	was := r.text.String()[:r.said]
	at, exact := behind(full, was)
	if !exact { // the model changed its words: go on with the next sentence
		end := 0
		for end < at {
			end += s.cut(full[end:], true)
		}
		at = end
	}
	r.text.Reset()
	r.text.WriteString(full)
	r.said = at
	return r.cut(full, s, true)
}

// behind returns the place in full behind as much text as said has, not counting white space,
// and whether that text is the same.
func behind(full, said string) (at int, exact bool) {
	exact = true
	for {
		said = strings.TrimLeftFunc(said, unicode.IsSpace)
		if said == "" {
			return at, exact
		}
		want, size := utf8.DecodeRuneInString(said)
		said = said[size:]
		found := false
		for at < len(full) && !found {
			have, n := utf8.DecodeRuneInString(full[at:])
			at += n
			if !unicode.IsSpace(have) {
				found = true
				exact = exact && have == want
			}
		}
		exact = exact && found
	}
}

// heard is the part of the answer that was handed out, for the history of a turn that was
// broken off.
func (r *reply) heard() string { return strings.TrimSpace(r.text.String()[:r.said]) }
