package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seeds are all golden messages, good and bad.
func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("testdata/*/*.json*")
	require.NoError(f, err)
	for _, name := range files {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		for line := range strings.Lines(string(b)) {
			f.Add([]byte(strings.TrimSuffix(line, "\n")))
		}
	}
}

// FuzzDecode: no topic panics at anything, and what decodes encodes again and means the same.
func FuzzDecode(f *testing.F) {
	seeds(f)
	rows := jsonRows()
	f.Fuzz(func(t *testing.T, payload []byte) {
		Peek(payload)
		for _, r := range rows {
			m, again, err := r.recode(payload)
			if err != nil {
				require.ErrorIs(t, err, ErrContract, r.spec().Name)
				if m != nil {
					t.Fatalf("%s: decodes and does not encode: %s: %s", r.spec().Name, err, payload)
				}
				continue
			}
			m2, third, err := r.recode(again)
			require.NoError(t, err, "%s: %s became %s", r.spec().Name, payload, again)
			require.Equal(t, m, m2, "%s: %s became %s", r.spec().Name, payload, again)
			require.Equal(t, string(again), string(third), r.spec().Name)
		}
	})
}

// FuzzMatch: the filter that is the topic matches it, and nothing panics.
func FuzzMatch(f *testing.F) {
	f.Add("a/+/#", "a/b/c")
	f.Add("#", "$SYS/x")
	f.Fuzz(func(t *testing.T, filter, topic string) {
		Match(filter, topic)
		if topic != "" && !strings.ContainsAny(topic, "+#") && !Match(topic, topic) {
			t.Fatalf("%q does not match itself", topic)
		}
	})
}
