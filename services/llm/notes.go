package llm

import (
	"strconv"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

// maxNote bounds one memory, bytes.
const maxNote = 2000

// notesOf makes notes of what memory answered. Documents are ours or those of the worker that ours
// replaces: objects with several keys for the text, or plain text. The question itself, which is
// remembered before it is answered, is left out.
func notesOf(r contract.QueryResults, question string) []chat.Note {
	var out []chat.Note
	for _, res := range r.Results {
		n := chat.Note{Context: res.ContextType == "previous" || res.ContextType == "next", At: stamp(res.Timestamp)}
		switch d := res.Document.(type) {
		case string:
			n.Text = d
		case map[string]any:
			n.Text = document(d)
			n.Speaker = speaker(d)
			if n.At.IsZero() {
				n.At = firstTime(d)
			}
		}
		n.Text = strings.TrimSpace(n.Text)
		if len(n.Text) > maxNote {
			n.Text = strings.ToValidUTF8(n.Text[:maxNote], "")
		}
		if n.Text != "" && !strings.EqualFold(n.Text, question) {
			out = append(out, n)
		}
	}
	return out
}

// document is the text of a document.
func document(d map[string]any) string {
	for _, key := range []string{"text", "user_input", "bot_response", "content", "message"} {
		if s := textOf(d[key]); s != "" {
			return s
		}
	}
	return ""
}

// speaker is who said a document: its role, or what only one kind of message has.
func speaker(d map[string]any) string {
	for _, key := range []string{"role", "speaker"} {
		switch strings.ToLower(textOf(d[key])) {
		case "user", "human":
			return chat.User
		case "assistant", "robot", "tars", "bot":
			return chat.Assistant
		}
	}
	if _, ok := d["is_final"]; ok {
		return chat.User // a transcript
	}
	if _, ok := d["wake_ack"]; ok {
		return chat.Assistant // something that was spoken
	}
	return ""
}

// stamp reads a time in RFC 3339 or in Unix seconds.
func stamp(s *string) time.Time {
	if s == nil {
		return time.Time{}
	}
	if t, err := time.Parse(time.RFC3339, *s); err == nil {
		return t
	}
	if f, err := strconv.ParseFloat(*s, 64); err == nil {
		return unix(f)
	}
	return time.Time{}
}

func firstTime(d map[string]any) time.Time {
	for _, key := range []string{"ts", "timestamp", "stt_ts"} {
		switch v := d[key].(type) {
		case float64:
			if t := unix(v); !t.IsZero() {
				return t
			}
		case string:
			if t := stamp(&v); !t.IsZero() {
				return t
			}
		}
	}
	return time.Time{}
}

// unix is a time in Unix seconds, zero unless it lies between 2000 and 2100: other clocks, such as
// seconds since power-on, tell no date.
func unix(s float64) time.Time {
	if !(s > 946684800 && s < 4102444800) {
		return time.Time{}
	}
	return time.UnixMilli(int64(s * 1000))
}
