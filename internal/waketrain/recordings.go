package waketrain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tarsd/tarsd/internal/audio"
)

// Limits of recordings: what one trains on is some hundred calls, and some hours of other sound.
const (
	maxFiles    = 2000
	maxPositive = 6 * audio.Rate
	maxNegative = 15 * 60 * audio.Rate
	maxTotal    = 4 * 3600 * audio.Rate
)

// recording is a file.
type recording struct {
	name string // within the folder
	pcm  []int16
	use  use
}

// recordings are what a folder holds.
type recordings struct{ positive, negative []recording }

// ErrRecordings is wrapped by what is wrong with the folder.
var ErrRecordings = errors.New("recordings")

// readRecordings reads DIR/positive/*.wav, the phrase alone, and DIR/negative/*.wav, anything else. Of
// both every fourth is for choosing, and every fourth for judging, in the order of their names.
func readRecordings(dir string) (r recordings, err error) {
	if dir == "" {
		return r, nil
	}
	if r.positive, err = readFolder(dir, "positive", maxPositive, 8); err != nil {
		return r, err
	}
	if r.negative, err = readFolder(dir, "negative", maxNegative, 0); err != nil {
		return r, err
	}
	if len(r.positive)+len(r.negative) == 0 {
		return r, fmt.Errorf("%w: no WAV file in %s or %s", ErrRecordings, filepath.Join(dir, "positive"), filepath.Join(dir, "negative"))
	}
	return r, nil
}

// readFolder reads the files of one kind, of at most limit samples each. least is how many make sense,
// if there are any.
func readFolder(dir, kind string, limit, least int) (out []recording, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecordings, err)
	}
	defer root.Close()
	names, err := fs.ReadDir(root.FS(), kind)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecordings, err)
	}
	names = slices.DeleteFunc(names, func(e fs.DirEntry) bool { return e.IsDir() || !strings.EqualFold(filepath.Ext(e.Name()), ".wav") })
	if len(names) > maxFiles {
		return nil, fmt.Errorf("%w: %d files in %s, the limit is %d", ErrRecordings, len(names), filepath.Join(dir, kind), maxFiles)
	}
	if len(names) > 0 && len(names) < least {
		return nil, fmt.Errorf("%w: too few examples: %d files in %s, at least %d are needed", ErrRecordings, len(names), filepath.Join(dir, kind), least)
	}
	total := 0
	for i, e := range names {
		name := filepath.Join(kind, e.Name())
		pcm, err := readOne(root, name, limit)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrRecordings, filepath.Join(dir, name), err)
		}
		if total += len(pcm); total > maxTotal {
			return nil, fmt.Errorf("%w: more than %s of sound in %s", ErrRecordings, audio.Duration(maxTotal, audio.Rate), filepath.Join(dir, kind))
		}
		out = append(out, recording{name: name, pcm: pcm, use: []use{forTraining, forJudging, forTraining, forChoosing}[i%4]})
	}
	return out, nil
}

func readOne(root *os.Root, name string, limit int) ([]int16, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pcm, rate, err := audio.ReadWAV(f, limit*audio.MaxRate/audio.Rate)
	if err != nil {
		return nil, err
	}
	if pcm, err = audio.Resample(pcm, rate, audio.Rate); err != nil {
		return nil, err
	}
	if len(pcm) > limit {
		return nil, fmt.Errorf("longer than %s", audio.Duration(limit, audio.Rate))
	}
	if pcm = trim(pcm); len(pcm) < audio.Rate/5 {
		return nil, errors.New("less than 0.2 s of sound")
	}
	return pcm, nil
}
