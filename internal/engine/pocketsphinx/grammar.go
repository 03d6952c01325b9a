package pocketsphinx

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of a grammar.
const (
	MaxSentences = 2000
	MaxWords     = 16 // of a sentence
	maxLetters   = 32 // of a word
)

// ErrSentence is a sentence that no grammar is made of.
var ErrSentence = errors.New("not a sentence that can be recognised")

// Grammar is a set of sentences, one of which is recognised at a time. It does not change.
type Grammar struct {
	jsgf  string
	words []entry
	has   map[string]bool
}

// Has reports whether a sentence, as a Hypothesis has it, is in the grammar.
func (g *Grammar) Has(sentence string) bool { return g.has[sentence] }

// Grammar makes a grammar of sentences: English words in letters and apostrophes, also numbers; case,
// punctuation and repetitions do not matter. Sentences that cannot be recognised, because of a word
// that the dictionary does not know, their length or because there are more than MaxSentences, are
// left out, and returned as errors that wrap ErrSentence, in their order. Without any that is left
// the grammar is nil. err is for a damaged dictionary.
func (e *Engine) Grammar(sentences []string) (g *Grammar, left []error, err error) {
	unknown := map[string]bool{}
	var all [][]string
	for _, s := range sentences {
		ws, err := split(s)
		if err != nil {
			left = append(left, err)
			continue
		}
		all = append(all, ws)
		for _, w := range ws {
			unknown[w] = true
		}
	}
	found, err := lookUp(e.model, unknown)
	if err != nil {
		return nil, nil, fmt.Errorf("read the dictionary: %w", err)
	}
	g = &Grammar{has: map[string]bool{}}
	root := &node{}
	for _, ws := range all {
		text := strings.Join(ws, " ")
		i := slices.IndexFunc(ws, func(w string) bool { return found[w] == nil })
		switch {
		case i >= 0:
			left = append(left, fmt.Errorf("%w: %q: the dictionary does not have %q", ErrSentence, text, ws[i]))
		case g.has[text]:
		case len(g.has) == MaxSentences:
			left = append(left, fmt.Errorf("%w: %q: there are %d already", ErrSentence, text, MaxSentences))
		default:
			g.has[text] = true
			root.add(ws)
		}
	}
	if len(g.has) == 0 {
		return nil, left, nil
	}
	for _, w := range slices.Sorted(maps.Keys(found)) {
		g.words = append(g.words, found[w]...)
	}
	var b strings.Builder
	b.WriteString("#JSGF V1.0;\ngrammar commands;\npublic <command> = ")
	root.write(&b)
	b.WriteString(";\n")
	g.jsgf = b.String()
	return g, left, nil
}

// split makes words of a sentence, as the dictionary writes them.
func split(sentence string) ([]string, error) {
	var out []string
	if len(sentence) > MaxWords*(maxLetters+1) {
		return nil, fmt.Errorf("%w: %.40q...: it is too long", ErrSentence, sentence)
	}
	text := strings.NewReplacer("’", "'", "-", " ").Replace(strings.ToLower(sentence))
	for w := range strings.FieldsSeq(text) {
		w = strings.Trim(w, ".,;:!?\"")
		switch {
		case w == "":
		case strings.Trim(w, "abcdefghijklmnopqrstuvwxyz'") != "" || len(w) > maxLetters:
			return nil, fmt.Errorf("%w: %.80q: %.40q is no word", ErrSentence, sentence, w)
		default:
			out = append(out, w)
		}
	}
	if len(out) == 0 || len(out) > MaxWords {
		return nil, fmt.Errorf("%w: %.80q: it has %d words, not 1 to %d", ErrSentence, sentence, len(out), MaxWords)
	}
	return out, nil
}

// node is where sentences that begin in the same way part. The tree is as deep as the longest one.
type node struct {
	word string
	next []*node
	ends bool // a sentence ends here
}

func (n *node) add(ws []string) {
	if len(ws) == 0 {
		n.ends = true
		return
	}
	i := slices.IndexFunc(n.next, func(c *node) bool { return c.word == ws[0] })
	if i < 0 {
		i = len(n.next)
		n.next = append(n.next, &node{word: ws[0]})
	}
	n.next[i].add(ws[1:])
}

// write writes what may follow, in the Java Speech Grammar Format.
func (n *node) write(b *strings.Builder) {
	opening, closing := "( ", " )"
	if n.ends {
		opening, closing = "[ ", " ]"
	}
	b.WriteString(opening)
	for i, c := range n.next {
		if i > 0 {
			b.WriteString(" | ")
		}
		b.WriteString(c.word)
		if len(c.next) > 0 {
			b.WriteString(" ")
			c.write(b)
		}
	}
	b.WriteString(closing)
}
