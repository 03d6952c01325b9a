package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Markdown is docs/configuration.md: a table of all keys, made of the structs.
func Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	group := ""
	for _, f := range fields() {
		g, _, nested := strings.Cut(f.key, ".")
		if !nested {
			g = "general"
		}
		if g != group {
			group = g
			fmt.Fprintf(&b, "\n## %s\n\n| Key | Default | Meaning |\n| --- | --- | --- |\n", g)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.key, shown(f), escape(f.tag.Get("doc")))
	}
	b.WriteString(docsTail)
	b.WriteString(docsLegacy)
	for _, l := range legacyEnv {
		fmt.Fprintf(&b, "| `%s` | `%s` |\n", l.name, l.key)
	}
	names := slices.Concat(slices.Collect(maps.Keys(fixedTopics)), slices.Collect(maps.Keys(withoutUse)))
	fmt.Fprintf(&b, "\nThese change nothing here, and a start and `tarsd check` say so: %s.\n", strings.Join(sorted(names), ", "))
	return b.String()
}

// shown is the default of a key as the table shows it.
func shown(f field) string {
	if s := f.tag.Get("shown"); s != "" {
		return escape(s)
	}
	text := plain(f.value)
	if text == "" {
		return "none"
	}
	return "`" + text + "`"
}

// plain is the text form of a value, as a flag would take it.
func plain(v reflect.Value) string {
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err == nil {
			return string(b)
		}
	}
	if v.Kind() == reflect.Slice {
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = plain(v.Index(i))
		}
		return strings.Join(parts, ", ")
	}
	return fmt.Sprint(v.Interface())
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

const docsHead = `# Configuration

This page is generated from internal/config; ` + "`go test ./internal/config -update`" + ` writes it anew.

tarsd needs no configuration. What is set comes from, in this order, each over the one before:

1. the defaults below;
2. one file: ` + "`--config FILE`, else `TARSD_CONFIG`, else `tarsd.yaml` in the working directory, else `/etc/tarsd/tarsd.yaml`" + `;
3. the environment: ` + "`TARSD_` and the key in capitals with `_` for `.`: `TARSD_LIMITS_PACKET_BYTES=1MiB`" + `.
   An empty value counts as not set. Names of the system that tarsd replaces are taken too, see the end of this page;
4. flags: ` + "`--set limits.packet_bytes=1MiB`" + ` for any key, and ` + "`--data`, `--listen`, `--http`, `--services`, `--broker`" + ` for five of them.

Unknown keys and bad values stop tarsd; all of them are reported at once, with key and place.
` + "`tarsd check`" + ` reports them without starting anything.

Sizes are bytes or have a unit: 65536, 64KiB, 64MiB, 1GiB. Time spans have a unit: 500ms, 10s, 24h, 30d.
Yes and no are true or false, also 1, yes, on and 0, no, off. In the environment and in flags a list is
written with commas, and anything can be written as YAML in one line: ` + "`[a, b]`, `{x: 1}`" + `.

data_dir is, unless set: ` + "`$STATE_DIRECTORY`" + ` (systemd), else ` + "`/var/lib/tarsd`" + ` for root, else
` + "`$XDG_DATA_HOME/tarsd`" + `, else ` + "`~/.local/share/tarsd`" + `.
`

const docsTail = `
## Example

` + "```yaml" + `
data_dir: /var/lib/tarsd
tls:
  cert: /etc/tarsd/fullchain.pem
  key: /etc/tarsd/privkey.pem
limits:
  packet_bytes: 1MiB
  rate:
    messages: 500
  topic_rates:
    - {filter: "camera/#", messages: 30, bytes: 8MiB}
access:
  anonymous: loopback
  roles:
    garden:
      - both garden/%u/#
      - subscribe weather/#
` + "```" + `

## Roles

A role is a list of rules; what no rule allows is denied. A rule is publish, subscribe or both, and a
topic filter, in which %u stands for the user and %c for the client id. The built-in roles service,
device, page, viewer and admin are listed in [security.md](security.md). Users get roles with
` + "`tarsd passwd --role ROLE NAME`" + `.
`

const docsLegacy = `
## Names of the replaced system

These variables of the environment are taken for the keys beside them; a ` + "`TARSD_`" + ` name wins over them, and of two for one key the
later in this list. Seconds without a unit, and lists with | between, are understood.

| Variable | Key |
| --- | --- |
`
