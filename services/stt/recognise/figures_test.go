package recognise

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

var figures = flag.Int("figures", 0, "measure how well speech is understood: each sentence so many times, 10 for all voices with and without noise")

// clip is something said, and what came of it.
type clip struct {
	text, voice string
	noisy       bool
	held        bool // of the half that nothing is fitted to
	command     bool // the text is in the grammar
	h           heard
}

func (c *clip) right() bool { return c.h.command.Text == c.text }

// TestFigures says the sentences of testdata in five voices, half of them in noise, and prints how
// many were understood, and the constants of judge.go that fit best. Run it with
//
//	go test -run Figures -figures 10 -timeout 60m -v ./services/stt/recognise
func TestFigures(t *testing.T) {
	takes := *figures
	if takes == 0 {
		t.Skip("takes minutes; run with -figures 10")
	}
	commands, others := lines(t, "commands.txt"), lines(t, "others.txt")
	p, e := expecting(t, commands...)
	voices := []string{"slt", "rms", "awb", "kal16", "espeak-ng"}
	var clips []*clip
	for i, text := range append(commands[:len(commands):len(commands)], others...) {
		for j := range takes {
			voice := voices[(i/2+j)%len(voices)]
			clips = append(clips, &clip{text: text, voice: voice, noisy: j%2 == 1, held: i%2 == 1, command: i < len(commands)})
		}
	}
	work := make(chan *clip)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for c := range work {
				c.h = said(t, p, c)
			}
		})
	}
	for _, c := range clips {
		work <- c
	}
	close(work)
	wg.Wait()
	require.Empty(t, e.reports)
	dump(t, clips)
	report(t, clips)
	fit(t, clips)
}

// said is Finish with what it decides by.
func said(t *testing.T, p *PocketSphinx, c *clip) heard {
	pcm := say(t, c.voice, c.text)
	if c.noisy {
		addNoise(pcm, 10)
	}
	s, err := p.Begin(t.Context(), Utterance{})
	require.NoError(t, err)
	defer s.Close()
	require.NoError(t, s.Feed(t.Context(), pcm))
	h, err := s.(*sphinxStream).hear(t.Context())
	require.NoError(t, err)
	return h
}

func lines(tb testing.TB, name string) []string {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(tb, err)
	return strings.Split(strings.TrimSpace(string(raw)), "\n")
}

// say has flite or espeak-ng speak, with a fifth of a second of quiet around it.
func say(tb testing.TB, voice, text string) []int16 {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "said.wav")
	args := []string{"flite", "-voice", voice, "-t", text, "-o", path}
	if voice == "espeak-ng" {
		args = []string{"espeak-ng", "-v", "en-us", "-w", path, text}
	}
	if _, err := exec.LookPath(args[0]); err != nil {
		tb.Skip("no " + args[0])
	}
	out, err := exec.CommandContext(tb.Context(), args[0], args[1:]...).CombinedOutput()
	require.NoError(tb, err, "%s", out)
	f, err := os.Open(path)
	require.NoError(tb, err)
	pcm := wave(tb, f)
	quiet := make([]int16, pocketsphinx.Rate/5)
	for i := range quiet { // no sound at all is nothing that a microphone gives
		quiet[i] = int16(i % 3)
	}
	return append(append(quiet[:len(quiet):len(quiet)], pcm...), quiet...)
}

// addNoise adds noise whose power falls with the frequency, as that of rooms does, at a ratio in dB.
func addNoise(pcm []int16, ratio float64) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]float64, len(pcm))
	var low, signal, power float64
	for i := range noise {
		white := r.NormFloat64()
		low = 0.95*low + white
		noise[i] = 0.5*low + 0.5*white
		power += noise[i] * noise[i]
		signal += float64(pcm[i]) * float64(pcm[i])
	}
	gain := math.Sqrt(signal/power) * math.Pow(10, -ratio/20)
	for i := range pcm {
		pcm[i] = int16(max(-32768, min(float64(pcm[i])+gain*noise[i], 32767)))
	}
}

// report prints how many were understood. Of a command, right means that it was taken for the command
// that it is; of something else, wrong means that it was taken for a command.
func report(t *testing.T, clips []*clip) {
	type row struct{ commands, right, wrong, others, taken int }
	rows := map[string]*row{}
	var names []string
	at := func(name string) *row {
		if rows[name] == nil {
			rows[name] = &row{}
			names = append(names, name)
		}
		return rows[name]
	}
	for _, c := range clips {
		condition := " clean"
		if c.noisy {
			condition = " 10 dB"
		}
		half := "fitted half"
		if c.held {
			half = "held half"
		}
		for _, name := range []string{c.voice + condition, "all" + condition, half} {
			r, got := at(name), c.h.result()
			switch {
			case c.command:
				r.commands++
				if got.Text == c.text { // also from the language model: the router takes it all the same
					r.right++
				} else if got.Command {
					r.wrong++
				}
			default:
				r.others++
				if got.Command {
					r.taken++
				}
			}
		}
	}
	for _, name := range names {
		r := rows[name]
		t.Logf("%-18s commands %3d right %5.1f %% another command %4.1f %% | others %3d taken for a command %4.1f %%", name,
			r.commands, 100*float64(r.right)/float64(r.commands), 100*float64(r.wrong)/float64(r.commands),
			r.others, 100*float64(r.taken)/float64(r.others))
	}
}

func dump(t *testing.T, clips []*clip) {
	var b strings.Builder
	for _, c := range clips {
		fmt.Fprintf(&b, "%s\t%v\t%v\t%v\t%s\t%s\t%s\t%.3f\t%.3f\t%.3f\t%.1f\t%.1f\t%d\t%v\n", c.voice, c.noisy, c.held, c.command, c.text, c.h.command.Text, c.h.free.Text,
			c.h.apart, c.h.command.Posterior, c.h.free.Posterior, c.h.command.Score, c.h.free.Score, c.h.free.Frames, c.h.same)
	}
	path := filepath.Join(os.TempDir(), "tarsd-figures.tsv")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o600))
	t.Log("all clips are in", path)
}

// fit prints the constants of judge.go that make its confidences likeliest, of the fitted half, and how
// good they are on the other: Brier's score, the mean of the squared differences to 0 or 1.
func fit(t *testing.T, clips []*clip) {
	t.Helper()
	for name, f := range map[string]struct {
		use      func(*clip) bool
		right    func(*clip) bool
		features func(*heard) []float64
		now      func(*heard) float64
	}{
		"command": {
			func(c *clip) bool { return c.h.command.Text != "" }, (*clip).right,
			(*heard).commandFeatures, (*heard).commandConfidence,
		},
		"free": {
			func(c *clip) bool { return c.h.free.Text != "" }, func(c *clip) bool { return c.h.free.Text == c.text },
			(*heard).freeFeatures, (*heard).freeConfidence,
		},
	} {
		var x [][]float64
		var y []float64
		for _, c := range clips {
			if f.use(c) && !c.held {
				x = append(x, f.features(&c.h))
				y = append(y, truth(f.right(c)))
			}
		}
		w := regress(x, y)
		n, brier, fitted := 0.0, 0.0, 0.0
		for _, c := range clips {
			if f.use(c) && c.held {
				n++
				brier += math.Pow(f.now(&c.h)-truth(f.right(c)), 2)
				fitted += math.Pow(logistic(dot(w, f.features(&c.h)))-truth(f.right(c)), 2)
			}
		}
		t.Logf("%s: best constants %.2f of %d clips; on %.0f others Brier's score is %.3f, and %.3f with those", name, w, len(y), n, brier/n, fitted/n)
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// regress is logistic regression by gradient descent, with a little shrinking, so that halves that can be told
// apart without a mistake do not make constants of any size.
func regress(x [][]float64, y []float64) []float64 {
	const rounds, step, shrink = 50_000, 0.2, 1e-3
	w := make([]float64, len(x[0]))
	for range rounds {
		slope := make([]float64, len(w))
		for i, row := range x {
			d := logistic(dot(w, row)) - y[i]
			for j, v := range row {
				slope[j] += d * v / float64(len(x))
			}
		}
		for j := range w {
			w[j] -= step * (slope[j] + shrink*w[j])
		}
	}
	return w
}

// TestHumanSpeech counts wrong words in recordings of people; see human.sh.
func TestHumanSpeech(t *testing.T) {
	dir := os.Getenv("TARSD_SPEECH")
	if dir == "" {
		t.Skip("run human.sh")
	}
	p, _ := expecting(t)
	for set, file := range map[string]string{"cards": "cards.transcription", "librivox": "transcription"} {
		raw, err := os.ReadFile(filepath.Join(dir, set, file))
		require.NoError(t, err)
		words, wrong, wrongPieces := 0, 0, 0
		for line := range strings.Lines(string(raw)) {
			_, rest, _ := strings.Cut(line, "<s> ")
			text, rest, _ := strings.Cut(rest, "</s> (")
			name, _, _ := strings.Cut(rest, ")")
			f, err := os.Open(filepath.Join(dir, set, name+".wav"))
			require.NoError(t, err)
			pcm := wave(t, f)
			s, err := p.Begin(t.Context(), Utterance{})
			require.NoError(t, err)
			require.NoError(t, s.Feed(t.Context(), pcm))
			d := s.(*sphinxStream).decoder
			inPieces, err := d.End()
			require.NoError(t, err)
			whole, err := d.Whole(t.Context(), nil, pcm)
			require.NoError(t, err)
			require.NoError(t, s.Close())
			want := spelled(text)
			words += len(want)
			wrong += distance(want, spelled(whole.Text))
			wrongPieces += distance(want, spelled(inPieces.Text))
			t.Logf("%q: %q, in pieces %q", text, whole.Text, inPieces.Text)
		}
		t.Logf("%s: %d words, wrong %d as a whole and %d in pieces", set, words, wrong, wrongPieces)
	}
}

func spelled(text string) []string {
	return strings.Fields(strings.ReplaceAll(" "+text+" ", " mr ", " mister "))
}

// wave reads a file of any rate.
func wave(tb testing.TB, f *os.File) []int16 {
	tb.Helper()
	defer f.Close()
	r, err := audio.NewWAVReader(f)
	require.NoError(tb, err)
	var pcm []int16
	for {
		buf := make([]int16, 4096)
		n, err := r.Read(buf)
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(tb, err)
	}
	pcm, err = audio.Resample(pcm, r.Rate(), pocketsphinx.Rate)
	require.NoError(tb, err)
	return pcm
}
