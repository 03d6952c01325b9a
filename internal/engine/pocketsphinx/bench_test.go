package pocketsphinx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/enginetest"
)

// BenchmarkOpen measures the start: the program compiled and one decoder with its models.
func BenchmarkOpen(b *testing.B) {
	enginetest.Open(b, Open, ErrMissing)
	for b.Loop() {
		e, err := Open()
		require.NoError(b, err)
		require.NoError(b, e.Close())
	}
}

// BenchmarkDecoder measures what a second decoder takes, or one in place of a broken one.
func BenchmarkDecoder(b *testing.B) {
	e := enginetest.Open(b, Open, ErrMissing)
	defer e.Close()
	for b.Loop() {
		d, err := e.Decoder(b.Context())
		require.NoError(b, err)
		d.broken = true
		d.Release()
		e.work.Wait()
	}
}

// BenchmarkHear reports the real-time factor of each way to hear, and the memory of the program.
func BenchmarkHear(b *testing.B) {
	e := enginetest.Open(b, Open, ErrMissing)
	defer e.Close()
	speech := enginetest.Speech(b)
	g, _, err := e.Grammar([]string{spoken, "turn left", "turn right", "stop"})
	require.NoError(b, err)
	for name, hear := range map[string]func(d *Decoder) error{
		"pieces": func(d *Decoder) error {
			if err := d.Begin(); err != nil {
				return err
			}
			if err := d.Feed(b.Context(), speech); err != nil {
				return err
			}
			_, err := d.End()
			return err
		},
		"whole":   func(d *Decoder) error { _, err := d.Whole(b.Context(), nil, speech); return err },
		"grammar": func(d *Decoder) error { _, err := d.Whole(b.Context(), g, speech); return err },
	} {
		b.Run(name, func(b *testing.B) {
			d, err := e.Decoder(b.Context())
			require.NoError(b, err)
			defer d.Release()
			for b.Loop() {
				require.NoError(b, hear(d))
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/(float64(len(speech))/Rate), "rtf")
			b.ReportMetric(float64(d.mod.Memory().Size())/1e6, "MB")
		})
	}
}

// BenchmarkGrammar makes one of a thousand sentences.
func BenchmarkGrammar(b *testing.B) {
	e := enginetest.Open(b, Open, ErrMissing)
	defer e.Close()
	var sentences []string
	for _, verb := range []string{"turn", "go", "walk", "step", "look", "move", "point", "roll", "swing", "bend"} {
		for _, way := range []string{"left", "right", "forward", "back", "up", "down", "around", "over", "away", "there"} {
			for _, much := range []string{"once", "twice", "again", "slowly", "quickly", "now", "please", "then", "first", "last"} {
				sentences = append(sentences, verb+" "+way+" "+much)
			}
		}
	}
	d, err := e.Decoder(b.Context())
	require.NoError(b, err)
	defer d.Release()
	for b.Loop() {
		g, left, err := e.Grammar(sentences)
		require.NoError(b, err)
		require.Empty(b, left)
		require.NoError(b, d.Prepare(g))
	}
}
