package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

const (
	envPrefix = "TARSD_"
	envFile   = "TARSD_CONFIG" // name of the configuration file
)

// EnvName is the name of key in the environment: limits.packet_bytes is
// TARSD_LIMITS_PACKET_BYTES.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// legacyEnv are names of the system that tarsd replaces, where they mean the same. A name of
// our own wins over them.
var legacyEnv = slices.Concat([]legacy{{"LOG_LEVEL", "log.level", nil}}, memoryEnv, llmEnv, routerEnv, cameraEnv, ttsEnv, sttEnv, earsEnv, wakeEnv)

// legacy is a name of the environment of the system that tarsd replaces.
type legacy struct {
	name, key string
	as        func(string) string // the value in our form; nil: it is the same
}

// seconds makes a time span of a number of seconds.
func seconds(v string) string { return strings.TrimSpace(v) + "s" }

// barList makes a list of what is separated by bars; commas were promised too.
func barList(v string) string {
	sep := "|"
	if !strings.Contains(v, sep) {
		sep = ","
	}
	var items []string
	for item := range strings.SplitSeq(v, sep) {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, `"`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(item)+`"`)
		}
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// foreignEnv are names that start with our prefix and are not ours to judge: the password of pub
// and sub, what our own tests and benches are told by, and what Kubernetes sets for a service that
// is called tarsd.
var foreignEnv = []string{
	"TARSD_PASSWORD", "TARSD_BIN", "TARSD_TEST_", "TARSD_CRASH_", "TARSD_CHAOS_", "TARSD_BENCH_", "TARSD_INTEROP_", "TARSD_CONFORMANCE_",
	"TARSD_PORT", "TARSD_SERVICE_HOST", "TARSD_SERVICE_PORT",
}

// environment is the map of NAME=VALUE lines. An empty value counts as not set: compose files
// and unit files pass those on for variables that nobody set.
func environment(lines []string) map[string]string {
	env := make(map[string]string, len(lines))
	for _, l := range lines {
		if name, value, ok := strings.Cut(l, "="); ok && value != "" {
			env[name] = value
		}
	}
	return env
}

// fromEnv applies the environment to c, in the order of the names so that messages are stable.
func (d *decoder) fromEnv(c *Config, env map[string]string) {
	for _, l := range legacyEnv {
		if v, ok := env[l.name]; ok {
			d.where = l.name
			if l.as != nil {
				v = l.as(v)
			}
			d.assign(c, l.key, v)
		}
	}
	keys := map[string]string{}
	for _, k := range Keys() {
		keys[EnvName(k)] = k
	}
	var names []string
	for name := range env {
		if strings.HasPrefix(name, envPrefix) && name != envFile {
			names = append(names, name)
		}
	}
	for _, name := range sorted(names) {
		key, ok := keys[name]
		if !ok {
			key, ok = entryOf(name, keys)
		}
		switch {
		case ok:
			d.where = name
			d.assign(c, key, env[name])
		case !foreign(name):
			d.problems.add("", name, "%s", unknown(name, keysOf(keys)))
		}
	}
}

func foreign(name string) bool {
	return slices.ContainsFunc(foreignEnv, func(p string) bool { return strings.HasPrefix(name, p) })
}

// entryOf finds the map that name is an entry of: TARSD_ACCESS_ROLES_GUEST is
// access.roles.guest.
func entryOf(name string, keys map[string]string) (string, bool) {
	for env, key := range keys {
		if rest, ok := strings.CutPrefix(name, env+"_"); ok && rest != "" && isMap(key) {
			return key + "." + strings.ToLower(rest), true
		}
	}
	return "", false
}

// keysOf are the names of the environment, sorted.
func keysOf(keys map[string]string) []string {
	out := make([]string, 0, len(keys))
	for env := range keys {
		out = append(out, env)
	}
	return sorted(out)
}

// isMap reports whether key takes entries of any name.
func isMap(key string) bool {
	for _, f := range fields() {
		if f.key == key {
			return f.value.Kind() == reflect.Map
		}
	}
	return false
}

// field is one key of the configuration with its default.
type field struct {
	key   string
	value reflect.Value
	tag   reflect.StructTag
}

// walk calls visit for every key below v.
func walk(v reflect.Value, key string, visit func(field)) {
	for i := range v.NumField() {
		sf, f := v.Type().Field(i), v.Field(i)
		k := join(key, sf.Tag.Get("yaml"))
		if f.Kind() == reflect.Struct && !isLeaf(f.Type()) {
			walk(f, k, visit)
			continue
		}
		visit(field{k, f, sf.Tag})
	}
}

// fields are all keys with their defaults, in the order of the structs.
func fields() []field {
	c := Default()
	var out []field
	walk(reflect.ValueOf(&c).Elem(), "", func(f field) { out = append(out, f) })
	return out
}

// Keys are the paths of all keys.
func Keys() []string {
	fs := fields()
	keys := make([]string, len(fs))
	for i, f := range fs {
		keys[i] = f.key
	}
	return keys
}

// Value is one key as it is in force.
type Value struct {
	Key, Text string
	Origin    string // where it was set; "default" if nowhere
}

// Values are all keys, in the order of the structs. Secrets are hidden.
func (l *Loaded) Values() []Value {
	var out []Value
	walk(reflect.ValueOf(&l.Config).Elem(), "", func(f field) {
		origin := originOf(l.Origin, f.key)
		if origin == "" {
			origin = "default"
		}
		for _, key := range slices.Sorted(maps.Keys(l.Origin)) { // an entry of a map
			if strings.HasPrefix(key, f.key+".") {
				origin = l.Origin[key]
			}
		}
		out = append(out, Value{f.key, plain(f.value), origin})
	})
	return out
}
