package memory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/contract"
)

// Roles of a record.
const (
	roleUser      = "user"
	roleAssistant = "assistant"
	roleFact      = "fact"
)

var roles = []string{roleUser, roleAssistant, roleFact} // by their number on disk

const (
	maxTextBytes = 8 << 10 // of a record; the rest is cut off
	maxNameBytes = 256     // of a record's other texts
	maxTags      = 32
)

// record is one memory. id is its time in milliseconds, or a little later if that was taken.
type record struct {
	id      uint64
	role    string
	text    string
	ts      float64 // Unix seconds; 0: nobody knows
	message string  // id of the message that brought it
	turn    string
	origin  string
	lang    string
	tags    []string
}

// tidy brings a record within its bounds.
func (r *record) tidy() {
	r.text = cut(strings.TrimSpace(r.text), maxTextBytes)
	for _, s := range []*string{&r.message, &r.turn, &r.origin, &r.lang} {
		*s = cut(*s, maxNameBytes)
	}
	r.tags = r.tags[:min(len(r.tags), maxTags)]
	for i := range r.tags {
		r.tags[i] = cut(r.tags[i], maxNameBytes)
	}
	if !(r.ts > 0) || r.ts > 1e11 {
		r.ts = 0
	}
}

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// indexed is what the index knows a record by.
func (r *record) indexed() string {
	if len(r.tags) == 0 {
		return r.text
	}
	return r.text + " " + strings.Join(r.tags, " ")
}

// name is the id as it is written in messages.
func (r *record) name() string { return strconv.FormatUint(r.id, 10) }

// tokens estimates a length in tokens, as the language model's side does.
func (r *record) tokens() int { return len(strings.Fields(r.text)) * 13 / 10 }

// when is the time for people, or nil.
func (r *record) when() *string {
	if r.ts < 1e6 { // the first days of 1970 are the times of records that had none
		return nil
	}
	s := time.UnixMilli(int64(r.ts * 1000)).UTC().Format(time.RFC3339)
	return &s
}

// document is the record as results carry it.
func (r *record) document() contract.Object {
	d := contract.Object{"id": r.name(), "role": r.role, "text": r.text, "ts": r.ts}
	for k, v := range map[string]string{"message_id": r.message, "turn": r.turn, "origin": r.origin, "lang": r.lang} {
		if v != "" {
			d[k] = v
		}
	}
	if len(r.tags) > 0 {
		tags := make([]any, len(r.tags))
		for i, t := range r.tags {
			tags[i] = t
		}
		d["tags"] = tags
	}
	return d
}

// exported is the record as export files have it.
func (r *record) exported() contract.MemoryRecord {
	return contract.MemoryRecord{
		ID: r.name(), Text: r.text, Role: r.role, TS: r.ts, Lang: r.lang, SourceID: r.message, Turn: r.turn, Origin: r.origin, Tags: r.tags,
	}
}

func imported(m contract.MemoryRecord) record {
	r := record{role: m.Role, text: m.Text, ts: m.TS, message: m.SourceID, turn: m.Turn, origin: m.Origin, lang: m.Lang, tags: m.Tags}
	r.tidy()
	return r
}

// The bucket holds two records for each memory: what it is, and its vector. Both keys end with the
// id, so that they are in the order of time.
const (
	keyRecord = 'r'
	keyVector = 'v'
)

func key(kind byte, id uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, id) }

// keyID is the id in a key.
func keyID(k []byte) (id uint64, ok bool) {
	if len(k) != 9 {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[1:]), true
}

var errRecord = errors.New("memory record is damaged")

// format is the first byte of a record on disk.
const format = 1

func (r *record) encode() []byte {
	role := byte(0)
	for i, name := range roles {
		if r.role == name {
			role = byte(i)
		}
	}
	b := []byte{format, role}
	b = binary.BigEndian.AppendUint64(b, math.Float64bits(r.ts))
	for _, s := range append([]string{r.text, r.message, r.turn, r.origin, r.lang}, r.tags...) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func decodeRecord(id uint64, b []byte) (record, error) {
	if len(b) < 10 || b[0] != format || int(b[1]) >= len(roles) {
		return record{}, fmt.Errorf("%w: %d", errRecord, id)
	}
	r := record{id: id, role: roles[b[1]], ts: math.Float64frombits(binary.BigEndian.Uint64(b[2:]))}
	var parts []string
	for b = b[10:]; len(b) > 0; {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) || len(parts) == 5+maxTags {
			return record{}, fmt.Errorf("%w: %d", errRecord, id)
		}
		b = b[used:]
		parts = append(parts, string(b[:n]))
		b = b[n:]
	}
	if len(parts) < 5 {
		return record{}, fmt.Errorf("%w: %d", errRecord, id)
	}
	r.text, r.message, r.turn, r.origin, r.lang = parts[0], parts[1], parts[2], parts[3], parts[4]
	if len(parts) > 5 {
		r.tags = parts[5:]
	}
	return r, nil
}

// encodeVector puts the name of the embedder before a vector, since vectors of two of them must not
// be compared.
func encodeVector(embedder string, v []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(embedder)))
	b = append(b, embedder...)
	return append(b, v...)
}

func decodeVector(b []byte) (embedder string, v []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return "", nil, false
	}
	b = b[used:]
	return string(b[:n]), b[n:], true
}
