package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// Source says where the configuration comes from, besides the defaults.
type Source struct {
	File string       // must exist; empty: TARSD_CONFIG, else the first of SearchPath that exists, else none
	Env  []string     // NAME=VALUE, as of os.Environ
	Set  []Assignment // from flags, in order; the last one wins
}

// Assignment is one key set by a flag.
type Assignment struct {
	Key, Value string
	From       string // the flag, for messages: "--set", "--data"
}

// SearchPath is where a configuration file is looked for when none is named.
func SearchPath() []string { return []string{"tarsd.yaml", "/etc/tarsd/tarsd.yaml"} }

// Loaded is a valid configuration and where it comes from.
type Loaded struct {
	Config
	File   string            // the file that was read; empty if none
	Origin map[string]string // key -> where it was set; keys at their default are not in it
	Unused []Unused          // variables of the replaced system that are set and mean nothing here
}

// maxFile bounds the configuration file, bytes: a device or a log given by mistake is not read
// to its end.
const maxFile = 1 << 20

// Load puts a configuration together: defaults, file, environment, flags. The error is
// Problems, with everything that is wrong with any of them.
func Load(s Source) (*Loaded, error) {
	env := environment(s.Env)
	l := &Loaded{Config: Default(), Origin: map[string]string{}, Unused: unused(env)}
	d := &decoder{origin: l.Origin}
	l.File = d.readFile(&l.Config, s.File, env[envFile])
	d.file = ""
	d.fromEnv(&l.Config, env)
	for _, a := range s.Set {
		d.where = a.From
		d.assign(&l.Config, a.Key, a.Value)
	}
	if l.DataDir == "" {
		l.DataDir = defaultDataDir(env, isRoot())
	}
	d.where = ""
	for _, p := range l.validate() {
		p.Where = originOf(l.Origin, p.Key)
		if !slices.ContainsFunc(d.problems, func(q Problem) bool { return q.Key == p.Key }) {
			d.problems = append(d.problems, p)
		}
	}
	if err := d.problems.err(); err != nil {
		return nil, err
	}
	return l, nil
}

// originOf is where key was set, or the list or group around it.
func originOf(origin map[string]string, key string) string {
	for key != "" {
		if o, ok := origin[key]; ok {
			return o
		}
		i := strings.LastIndexAny(key, ".[")
		key = key[:max(i, 0)]
	}
	return ""
}

// readFile decodes the configuration file into c and returns its name.
func (d *decoder) readFile(c *Config, flag, env string) string {
	name, must := flag, true
	if name == "" {
		name = env
	}
	if name == "" {
		must = false
		for _, f := range SearchPath() {
			if _, err := os.Stat(f); err == nil {
				name = f
				break
			}
		}
		if name == "" {
			return ""
		}
	}
	b, err := readBounded(name)
	if errors.Is(err, fs.ErrNotExist) && !must {
		return ""
	}
	d.file = name
	if err != nil {
		d.problems.add("", "", "%s", err) // an os error names the file
		return name
	}
	d.document(c, bytes.NewReader(b))
	return name
}

func readBounded(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 0, 4096)
	buf := bytes.NewBuffer(b)
	if _, err := buf.ReadFrom(&limited{f, maxFile}); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return buf.Bytes(), nil
}

// limited reads n bytes and then fails, unlike io.LimitReader, which would cut the file.
type limited struct {
	f *os.File
	n int
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.f.Read(p)
	if l.n -= n; l.n < 0 {
		return 0, fmt.Errorf("is larger than %d bytes", maxFile)
	}
	return n, err
}
