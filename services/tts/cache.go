package tts

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// phraseBytes is the longest text that is kept, and phraseSeconds the longest sound.
const (
	phraseBytes   = 60
	phraseSeconds = 6
)

// cache keeps the sound of short phrases, such as answers to the wake word: in memory, and as WAV
// files in a directory if there is one. The key is engine, voice, language, style and text, so that a change of
// any of them is heard at once. mu guards the fields below it.
type cache struct {
	dir  string // empty: memory only
	most int

	mu   sync.Mutex
	held map[string]voice.Sound
	used []string // keys, the longest unused first
}

func newCache(dir string, most int) *cache {
	return &cache{dir: dir, most: most, held: map[string]voice.Sound{}}
}

// key of a text, as an engine of this ID says it.
func (c *cache) key(engine string, t voice.Text) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{engine, t.Voice, t.Lang, t.Style, t.Text}, "\x00")))
	return hex.EncodeToString(sum[:16])
}

// get returns the sound of a key.
func (c *cache) get(key string) (voice.Sound, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.held[key]
	if !ok {
		if s, ok = c.load(key); !ok {
			return s, false
		}
	}
	c.keep(key, s)
	return s, true
}

// put keeps a sound. It reports a directory that cannot be written.
func (c *cache) put(key string, s voice.Sound) error {
	if c.most == 0 || s.Rate == 0 || len(s.PCM) == 0 || len(s.PCM) > phraseSeconds*s.Rate {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(key, s)
	if c.dir == "" {
		return nil
	}
	return c.store(key, s)
}

func (c *cache) keep(key string, s voice.Sound) {
	c.used = append(slices.DeleteFunc(c.used, func(k string) bool { return k == key }), key)
	c.held[key] = s
	if len(c.used) > c.most {
		delete(c.held, c.used[0])
		c.used = c.used[1:]
	}
}

func (c *cache) path(key string) string { return filepath.Join(c.dir, key+".wav") }

// load reads a file. One that is damaged counts as none, and is written again.
func (c *cache) load(key string) (s voice.Sound, ok bool) {
	if c.dir == "" || c.most == 0 {
		return s, false
	}
	f, err := os.Open(c.path(key))
	if err != nil {
		return s, false
	}
	defer f.Close()
	pcm, rate, err := audio.ReadWAV(f, phraseSeconds*voice.MaxRate)
	if err != nil || len(pcm) == 0 || rate < voice.MinRate || rate > voice.MaxRate {
		return s, false
	}
	return voice.Sound{Rate: rate, PCM: pcm}, true
}

// store writes a file beside and renames it, and removes the oldest ones of too many, those of former
// runs included.
func (c *cache) store(key string, s voice.Sound) (err error) {
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(c.dir, ".new-"+key)
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp))
		}
	}()
	w, err := audio.CreateWAV(tmp, s.Rate)
	if err != nil {
		return err
	}
	if err := errors.Join(w.Write(s.PCM), w.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, c.path(key)); err != nil {
		return err
	}
	return c.prune()
}

func (c *cache) prune() error {
	files, err := filepath.Glob(filepath.Join(c.dir, "*.wav"))
	if err != nil || len(files) <= c.most {
		return err
	}
	age := map[string]int64{}
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			age[f] = info.ModTime().UnixNano()
		}
	}
	slices.SortFunc(files, func(a, b string) int { return int(min(max(age[a]-age[b], -1), 1)) })
	var errs []error
	for _, f := range files[:len(files)-c.most] {
		errs = append(errs, os.Remove(f))
	}
	return errors.Join(errs...)
}
