package config

import (
	"path/filepath"
	"strings"
	"time"
)

// Memory is the service that remembers, and owns the persona.
type Memory struct {
	Embedder   string   `yaml:"embedder" doc:"What finds memories by meaning: use (built in, English), openai (a server with the OpenAI-style interface /embeddings, such as Ollama), or words: by their words only. After a change all vectors are made anew in the background."`
	URL        URL      `yaml:"url" shown:"none" doc:"With openai: base URL of the server, such as http://localhost:11434/v1."`
	Model      string   `yaml:"model" doc:"With openai: name of the model there, such as all-minilm."`
	Key        Secret   `yaml:"key" doc:"With openai: its key. TARSD_MEMORY_KEY or key_file keep it out of files that others read."`
	KeyFile    string   `yaml:"key_file" doc:"File with that key in its first line; read for each request."`
	Timeout    Duration `yaml:"timeout" doc:"With openai: time of one request. A question waits two seconds at most, and is answered by its words then."`
	MaxRecords int      `yaml:"max_records" doc:"Memories kept in all. Each costs about 0.7 KB of memory and 1 KB of the data file."`
	WhenFull   string   `yaml:"when_full" doc:"oldest: the oldest goes, facts that were told last. refuse: no more are taken."`
	MaxAge     Duration `yaml:"max_age" doc:"Age at which what was said is forgotten, facts excepted; 0 for never."`
	Character  string   `yaml:"character" doc:"Name of the persona: NAME.toml, or NAME/character.toml, among the characters. TARS is built in."`
	Characters string   `yaml:"characters" shown:"characters in the data directory" doc:"Directory of the persona files."`
}

func defaultMemory() Memory {
	return Memory{
		Embedder: "use", Timeout: Duration(10 * time.Second), MaxRecords: 100_000, WhenFull: "oldest", Character: "TARS",
	}
}

// memoryEnv are names of the system that tarsd replaces.
var memoryEnv = []legacy{
	{"CHARACTER_NAME", "memory.character", nil},
	{"CHARACTER_DIR", "memory.characters", nil},
}

// CharactersDir is where the persona files are.
func (c Config) CharactersDir() string {
	if c.Memory.Characters != "" {
		return c.Memory.Characters
	}
	return filepath.Join(c.DataDir, "characters")
}

func (m Memory) check(key string, ps *Problems) {
	one := func(name, v string, of ...string) {
		for _, s := range of {
			if v == s {
				return
			}
		}
		ps.add(key+"."+name, "", "%q is none of %s", v, strings.Join(of, ", "))
	}
	one("embedder", m.Embedder, "use", "openai", "words")
	one("when_full", m.WhenFull, "oldest", "refuse")
	if m.Embedder == "openai" {
		if m.URL.IsZero() {
			ps.add(key+".url", "", "must be set, since embedder is openai")
		} else if err := checkURL(m.URL, []string{"http", "https"}, "http, https"); err != nil {
			ps.add(key+".url", "", "%s", err)
		}
		if m.Model == "" {
			ps.add(key+".model", "", "must be set, since embedder is openai")
		}
		if !m.Key.IsZero() && m.KeyFile != "" {
			ps.add(key+".key_file", "", "key is set too")
		}
	}
	if m.Timeout < Duration(100*time.Millisecond) || m.Timeout > Duration(10*time.Minute) {
		ps.add(key+".timeout", "", "%s is not from 100ms to 10m", m.Timeout)
	}
	if m.MaxRecords < 1 || m.MaxRecords > 1_000_000 {
		ps.add(key+".max_records", "", "%d is not from 1 to 1000000", m.MaxRecords)
	}
	if m.MaxAge != 0 && m.MaxAge < Duration(time.Hour) {
		ps.add(key+".max_age", "", "%s is below 1h", m.MaxAge)
	}
	if strings.TrimSpace(m.Character) == "" || strings.ContainsAny(m.Character, "/\\") {
		ps.add(key+".character", "", "%q is not the name of a persona", m.Character)
	}
}
