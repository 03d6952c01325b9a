package build

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed" // of the sentences
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// What the small language model keeps of upstream's, which has 72,547 words and four million words in
// a row. docs/speech.md has the figures.
const (
	keptWords = 20_000
	theta     = 1e-6
	// commanding is the part of all words that are said in commands.
	commanding = 0.05
)

// phrases are what is said to the robot, a line each. The engine's grammar is given others at run
// time; these only make the model expect such talk.
//
//go:embed phrases.txt
var phrases string

// own are words that upstream's dictionary does not have, as lines of one.
var own = []string{"servos S ER V OW Z", "tars T AA R Z"}

// Model is the small language model, of upstream's language model and dictionary: its binary form, and
// the lines of the dictionary for its words.
func Model(ctx context.Context, program, lm, dictionary []byte) (small, words []byte, err error) {
	m, err := readTrie(lm)
	if err != nil {
		return nil, nil, err
	}
	sentences := strings.Split(strings.TrimSpace(phrases), "\n")
	for _, s := range sentences[:len(sentences):len(sentences)] {
		sentences = append(sentences, "hey tars "+s)
	}
	said := map[string]bool{"</s>": true, "<s>": true}
	for _, s := range sentences {
		for w := range strings.FieldsSeq(s) {
			said[w] = true
		}
	}
	m.limit(keptWords, func(w string) bool { return said[w] })
	m.mix(sentences, commanding)
	m.prune(theta)
	var text bytes.Buffer
	if err := m.arpa(&text); err != nil {
		return nil, nil, err
	}
	small, err = convert(ctx, program, text.Bytes())
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]bool{}
	for g := range m.grams[0] {
		kept[m.words[g]] = true
	}
	return small, pick(dictionary, func(w string) bool { return kept[w] }), nil
}

// Dictionary is upstream's as it is, with our words, compressed.
func Dictionary(to io.Writer, dictionary []byte) error {
	z, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	_, err = z.Write(pick(dictionary, func(string) bool { return true }))
	return errors.Join(err, z.Close())
}

// pick takes the lines of a dictionary whose words, without a variant's number, are wanted.
func pick(dictionary []byte, want func(word string) bool) []byte {
	var out bytes.Buffer
	lines := bufio.NewScanner(io.MultiReader(bytes.NewReader(dictionary), strings.NewReader(strings.Join(own, "\n"))))
	for lines.Scan() {
		word, _, _ := strings.Cut(lines.Text(), " ")
		word, _, _ = strings.Cut(word, "(")
		if want(word) {
			fmt.Fprintln(&out, lines.Text())
		}
	}
	return out.Bytes()
}

// convert has the recogniser's own tool make a binary model of a text.
func convert(ctx context.Context, program, arpa []byte) (out []byte, err error) {
	dir, err := os.MkdirTemp("", "tarsd-lm-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.WriteFile(filepath.Join(dir, "lm.arpa"), arpa, 0o600); err != nil {
		return nil, err
	}
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCloseOnContextDone(true))
	defer func() { err = errors.Join(err, r.Close(context.WithoutCancel(ctx))) }()
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return nil, err
	}
	var said bytes.Buffer
	config := wazero.NewModuleConfig().WithStartFunctions("_initialize").WithStderr(&said).
		WithFSConfig(wazero.NewFSConfig().WithDirMount(dir, "/m"))
	mod, err := r.InstantiateWithConfig(ctx, program, config)
	if err != nil {
		return nil, err
	}
	const from, to = "/m/lm.arpa\x00", "/m/lm.bin\x00"
	at, err := mod.ExportedFunction("pw_alloc").Call(ctx, uint64(len(from+to)))
	if err != nil {
		return nil, err
	}
	mod.Memory().WriteString(uint32(at[0]), from+to) //nolint:gosec // an address of 32 bits
	got, err := mod.ExportedFunction("pw_convert").Call(ctx, at[0], at[0]+uint64(len(from)))
	if err != nil || got[0] != 0 {
		return nil, fmt.Errorf("convert the language model: %v, %w: %.500s", got, err, said.String())
	}
	return os.ReadFile(filepath.Join(dir, "lm.bin"))
}
