package config

import "fmt"

// Dedup is about messages that come twice.
type Dedup struct {
	Enabled bool     `yaml:"enabled" doc:"Acknowledge a repeated envelope and deliver it once, on the topics that topics.md marks."`
	TTL     Duration `yaml:"ttl" doc:"Time since it was last seen for which an envelope is known."`
	Entries int      `yaml:"entries" doc:"Envelopes that are known at once; the oldest make room."`
	Topics  []string `yaml:"topics" shown:"none" doc:"Topic filters on which repeats are dropped too."`
	Exclude []string `yaml:"exclude" shown:"none" doc:"Topic filters on which they never are."`
}

func defaultDedup() Dedup { return Dedup{Enabled: true, TTL: Duration(30e9), Entries: 2048} }

func (d Dedup) check(ps *Problems) {
	if d.TTL < Duration(1e9) || d.TTL > Duration(86_400e9) {
		ps.add("dedup.ttl", "", "%s is not from 1s to 24h", d.TTL)
	}
	if d.Entries < 1 || d.Entries > 1_000_000 {
		ps.add("dedup.entries", "", "%d is not from 1 to 1000000", d.Entries)
	}
	for _, l := range []struct {
		key     string
		filters []string
	}{{"topics", d.Topics}, {"exclude", d.Exclude}} {
		for i, f := range l.filters {
			if err := checkFilter(f); err != nil {
				ps.add(fmt.Sprintf("dedup.%s[%d]", l.key, i), "", "%s", err)
			}
		}
	}
}
