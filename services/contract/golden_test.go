package contract

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With -update the expected texts are written anew; git diff then shows what the contract changed.
var update = flag.Bool("update", false, "write the generated documents, and what the golden messages give")

// jsonRows are the rows with JSON payloads.
func jsonRows() []row {
	var out []row
	for _, r := range sortedRows() {
		if r.spec().Form != Raw {
			out = append(out, r)
		}
	}
	return out
}

func folder(r row) string {
	return filepath.Join("testdata", fileName(r.spec().Name))
}

func lines(t testing.TB, name string) []string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// expect compares lines with a golden file.
func expect(t *testing.T, name string, got []string) {
	t.Helper()
	if *update {
		rewrite(t, name, []byte(strings.Join(got, "\n")+"\n"))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	assert.Equal(t, string(want), strings.Join(got, "\n")+"\n", name)
}

// rewrite replaces a file in one step: other tests read it meanwhile.
func rewrite(t *testing.T, name string, b []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name+".new", b, 0o644))
	require.NoError(t, os.Rename(name+".new", name))
}

// TestGoldenValid: what is written as we write it comes out as the same bytes.
func TestGoldenValid(t *testing.T) {
	t.Parallel()
	for _, r := range jsonRows() {
		t.Run(r.spec().Name, func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join(folder(r), "valid-*.json"))
			require.NoError(t, err)
			require.Contains(t, files, filepath.Join(folder(r), "valid-envelope.json"))
			require.Contains(t, files, filepath.Join(folder(r), "valid-bare.json"))
			for _, name := range files {
				in, err := os.ReadFile(name)
				require.NoError(t, err)
				in = bytes.TrimSuffix(in, []byte("\n"))
				_, out, err := r.recode(in)
				if assert.NoError(t, err, name) {
					assert.Equal(t, string(in), string(out), name)
				}
			}
		})
	}
}

// TestGoldenAccepted: what others write is taken, and comes out as we write it, with defaults and nulls.
func TestGoldenAccepted(t *testing.T) {
	t.Parallel()
	for _, r := range jsonRows() {
		t.Run(r.spec().Name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, in := range lines(t, filepath.Join(folder(r), "accepted.jsonl")) {
				_, out, err := r.recode([]byte(in))
				require.NoError(t, err, in)
				got = append(got, string(out))
			}
			expect(t, filepath.Join(folder(r), "accepted.out.jsonl"), got)
		})
	}
}

// TestGoldenInvalid: each line of invalid.jsonl is refused with the line of invalid.txt.
func TestGoldenInvalid(t *testing.T) {
	t.Parallel()
	for _, r := range jsonRows() {
		t.Run(r.spec().Name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, in := range lines(t, filepath.Join(folder(r), "invalid.jsonl")) {
				_, _, err := r.recode([]byte(in))
				require.ErrorIs(t, err, ErrContract, in)
				got = append(got, err.Error())
			}
			expect(t, filepath.Join(folder(r), "invalid.txt"), got)
		})
	}
}
