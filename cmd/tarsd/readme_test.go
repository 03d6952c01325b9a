package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestDocumentedCommands reads every page for command lines of tarsd and make, and checks that
// they exist with these arguments.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	require.NoError(t, err)
	pages, err := filepath.Glob("../../docs/*.md")
	require.NoError(t, err)
	pages = append(pages, "../../README.md", "../../ARCHITECTURE.md")
	n := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		for _, line := range commandLines(string(text)) {
			n++
			name, args := line[0], line[1:]
			if name == "make" {
				for _, target := range args {
					assert.Regexp(t, `(?m)^`+regexp.QuoteMeta(target)+`:`, string(makefile), "%s: make %s", page, target)
				}
				continue
			}
			var c cli
			k, err := kong.New(&c, kong.Name("tarsd"), kong.NoDefaultHelp())
			require.NoError(t, err)
			_, err = k.Parse(inspectArgs(args))
			assert.NoError(t, err, "%s: tarsd %s", page, strings.Join(args, " "))
		}
	}
	assert.Greater(t, n, 10, "the pages hold command lines")
}

var (
	block  = regexp.MustCompile("(?s)```sh\n(.*?)```")
	inline = regexp.MustCompile("`((?:tarsd|make) [^`]+)`")
	arg    = regexp.MustCompile(`(?:[^\s"']|"[^"]*"|'[^']*')+`) // as a shell sees it
	indent = regexp.MustCompile(`(?m)^    ((?:tarsd|make) .+)$`)
)

// commandLines finds tarsd and make in blocks of shell, in indented lines and in code spans.
func commandLines(text string) [][]string {
	var lines []string
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.Split(m[1], "\n")...)
	}
	for _, re := range []*regexp.Regexp{inline, indent} {
		for _, m := range re.FindAllStringSubmatch(text, -1) {
			lines = append(lines, m[1])
		}
	}
	var out [][]string
	for _, l := range lines {
		l, _, _ = strings.Cut(l, " #")
		words := arg.FindAllString(strings.NewReplacer("[", "", "]", "").Replace(l), -1)
		for i, w := range words {
			if q := w[:1]; len(w) > 1 && (q == `"` || q == "'") && strings.HasSuffix(w, q) {
				words[i] = w[1 : len(w)-1]
			}
		}
		if strings.Contains(l, "…") { // a shape of text, not a command
			continue
		}
		if len(words) > 1 && (words[0] == "tarsd" || words[0] == "make") {
			out = append(out, words)
		}
	}
	return out
}
