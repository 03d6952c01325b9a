package pocketsphinx

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io/fs"
	"strings"
)

// entry is a pronunciation: a word, or a further one of it as word(2), and its phones.
type entry struct{ name, phones string }

// lookUp finds the pronunciations of words in the large dictionary, which has seven times as
// many as the language model. It reads all of it, which takes some 30 ms.
func lookUp(model fs.FS, words map[string]bool) (_ map[string][]entry, err error) {
	f, err := model.Open("all.dict.gz")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	found := map[string][]entry{}
	lines := bufio.NewScanner(z)
	for lines.Scan() {
		name, phones, _ := strings.Cut(lines.Text(), " ")
		word, _, _ := strings.Cut(name, "(")
		if words[word] {
			found[word] = append(found[word], entry{name, phones})
		}
	}
	return found, lines.Err()
}
