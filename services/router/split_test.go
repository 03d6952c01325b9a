package router

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func plainSplitter() splitter {
	o := Defaults()
	return splitter{boundary: o.BoundaryChars, minChars: o.MinChars, maxChars: o.MaxChars, hardMax: o.HardMaxChars, only: true}
}

// split feeds text in chunks of n bytes and returns the pieces.
func split(s *splitter, text string, n int) []string {
	r := newReply()
	var out []string
	for len(text) > 0 {
		k := min(n, len(text))
		r.add(nil, text[:k])
		out = append(out, r.pieces(s, false)...)
		text = text[k:]
	}
	return append(out, r.pieces(s, true)...)
}

func TestSplitting(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"sentences":         {"Hello there. How are you? Fine!", []string{"Hello there.", "How are you?", "Fine!"}},
		"decimal":           {"Pi is 3.14 or so. Yes.", []string{"Pi is 3.14 or so.", "Yes."}},
		"decimal at end":    {"Pi is about 3. 14 is not it.", []string{"Pi is about 3.", "14 is not it."}},
		"time":              {"It is 10:30 now. Go.", []string{"It is 10:30 now.", "Go."}},
		"a.m. goes on":      {"We meet at 5 p.m. on Monday. Fine.", []string{"We meet at 5 p.m. on Monday.", "Fine."}},
		"a.m. ends":         {"We meet at 5 p.m. Then we go.", []string{"We meet at 5 p.m.", "Then we go."}},
		"title":             {"Dr. Brand knows Mr. Cooper. Good.", []string{"Dr. Brand knows Mr. Cooper.", "Good."}},
		"abbreviation":      {"Use fruit, e.g. Apples. Done.", []string{"Use fruit, e.g. Apples.", "Done."}},
		"initial":           {"Ask J. Smith today. Or I. So be it.", []string{"Ask J. Smith today.", "Or I.", "So be it."}},
		"ellipsis goes on":  {"Well... maybe not. Fine.", []string{"Well... maybe not.", "Fine."}},
		"ellipsis ends":     {"Well... Maybe not.", []string{"Well...", "Maybe not."}},
		"one rune ellipsis": {"Well… maybe. Well… Maybe.", []string{"Well… maybe.", "Well…", "Maybe."}},
		"address":           {"See https://example.org/a.b?c=1 for it. Fine.", []string{"See https://example.org/a.b?c=1 for it.", "Fine."}},
		"quotes":            {`He said "Go." Then he went.`, []string{`He said "Go."`, "Then he went."}},
		"several marks":     {"What?! No way!!! OK.", []string{"What?!", "No way!!!", "OK."}},
		"short clause":      {"Yes: it works; really. Good.", []string{"Yes: it works; really.", "Good."}},
		"long clause": {"This is a rather long clause that goes on for more than sixty characters; and here is the rest.",
			[]string{"This is a rather long clause that goes on for more than sixty characters;", "and here is the rest."}},
		"list":        {"Three things:\n1. Apples\n2. Pears\n3. Plums", []string{"Three things:", "1. Apples", "2. Pears", "3. Plums"}},
		"no end":      {"no full stop here", []string{"no full stop here"}},
		"only marks":  {"... !!! ---", nil},
		"empty":       {"   ", nil},
		"other words": {"Größe zählt. Ça va? 好的。", []string{"Größe zählt.", "Ça va?", "好的。"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := plainSplitter()
			for _, n := range []int{1, 3, 7, 1000} { // however the text arrives
				assert.Equal(t, c.want, split(&s, c.text, n), "in chunks of %d", n)
			}
		})
	}
}

func TestSplittingLongText(t *testing.T) {
	t.Parallel()
	s := plainSplitter()
	s.hardMax = 100
	text := strings.TrimSpace(strings.Repeat("word ", 200))
	pieces := split(&s, text, 11)
	assert.Equal(t, text, strings.Join(pieces, " "), "nothing is lost or said twice")
	for _, p := range pieces {
		assert.LessOrEqual(t, len(p), 100)
	}
	s.hardMax, s.only, s.maxChars = 2000, false, 40
	for _, p := range split(&s, text, 5) {
		assert.LessOrEqual(t, len(p), 44)
	}
	s.hardMax = 50
	assert.Equal(t, strings.Repeat("x", 200), strings.Join(split(&s, strings.Repeat("x", 200), 9), ""), "a word without an end")
}

func TestReconciliation(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deltas []string
		full   string
		want   []string // what is said after the response
	}{
		"the same":           {[]string{"One. ", "Two."}, "One. Two.", []string{"Two."}},
		"all said":           {[]string{"One. Two. "}, "One. Two.", nil},
		"other spaces":       {[]string{"One.  Two.\n"}, "One. Two.", nil},
		"a rest":             {[]string{"One. Tw"}, "One. Two. Three.", []string{"Two.", "Three."}},
		"no stream":          {nil, "One. Two.", []string{"One.", "Two."}},
		"the model reworded": {[]string{"One is. "}, "Two was. And three.", []string{"And three."}},
		"shorter":            {[]string{"One. Two. Three. "}, "One.", nil},
		"empty":              {[]string{"One. "}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := plainSplitter()
			r := newReply()
			for _, delta := range c.deltas {
				r.add(nil, delta)
				r.pieces(&s, false)
			}
			assert.Equal(t, c.want, r.finish(c.full, &s))
			assert.Empty(t, r.finish(c.full, &s), "a second response says nothing")
		})
	}
}

func TestSequenceOfDeltas(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		seq  []int
		want string // the text that is used
	}{
		"from 0":         {[]int{0, 1, 2}, "abc"},
		"from 1":         {[]int{1, 2, 3}, "abc"},
		"repeated":       {[]int{0, 0, 1}, "ac"},
		"gap":            {[]int{0, 2, 3}, "a"},
		"begin is lost":  {[]int{2, 3, 4}, ""},
		"late one again": {[]int{0, 1, 0}, "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReply()
			for i, n := range c.seq {
				r.add(&n, string(rune('a'+i)))
			}
			assert.Equal(t, c.want, r.text.String())
		})
	}
}

func TestReplyIsBounded(t *testing.T) {
	t.Parallel()
	r := newReply()
	for range 100 {
		r.add(nil, strings.Repeat("ü", 1000))
	}
	assert.LessOrEqual(t, r.text.Len(), maxReply)
}

func FuzzSplit(f *testing.F) {
	f.Add("Hello there. Pi is 3.14... Well? ok", uint8(3))
	f.Add("1. a\n2. b;:;:; https://x.y \xff\xfe", uint8(1))
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		s := plainSplitter()
		s.hardMax = 200
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		said := squeeze(strings.Join(split(&s, text, int(n)+1), ""))
		left := squeeze(text)
		for _, r := range said { // what is said stands in the text, in order
			i := strings.IndexRune(left, r)
			if i < 0 && r == '\uFFFD' {
				continue
			}
			if i < 0 {
				t.Fatalf("%q says %q", text, said)
			}
			left = left[i:]
		}
	})
}
