package contract

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// Row is a topic with everything that tools want to know of it.
type Row struct {
	Spec
	Payload string          // name of the payload's Go type, empty for raw bytes
	Schema  json.RawMessage // JSON Schema of the payload, nil for raw bytes
	Example []byte          // a message as it goes over the wire, nil for raw bytes
}

// row is a Topic of any type.
type row interface {
	spec() Spec
	payload() reflect.Type
	recode(payload []byte) (message any, again []byte, err error)
}

// topics are all rows. TestTable fails when one is missing.
func topics() []row {
	return []row{
		STTFinal, STTPartial, STTAudioFFT,
		TTSSay, TTSStatus, TTSProgress, TTSState, TTSControl,
		WakeEvent, WakeMic, WakeHealth, WakeScore,
		LLMRequest, LLMResponse, LLMStream, LLMCancel,
		ToolsRegistry, ToolCallRequest, ToolCallResult,
		MemoryQuery, MemoryResults, MemoryAdd, MemoryAdded, MemoryForget, MemoryForgotten,
		MemoryExport, MemoryExported, MemoryImport, MemoryImported,
		CharacterGet, CharacterResult, CharacterUpdate, CharacterCurrent,
		DialogueState, DialogueText,
		MovementTest, MovementStop, MovementResume, MovementCommand, MovementManual, MovementCalibrate, MovementJoints,
		MovementInfo, MovementHistory, MovementCalibration,
		MovementStatus, MovementState, MovementFrame,
		CameraCapture, CameraImage, CameraStatus, CameraFrame, CameraJPEG, CameraView, CameraMotion,
		AudioIn, AudioOut,
		Health, Keepalive,
	}
}

func (t Topic[T]) spec() Spec            { return t.Spec }
func (t Topic[T]) payload() reflect.Type { return reflect.TypeFor[T]() }

// recode decodes a message and encodes it again in the form it came in.
func (t Topic[T]) recode(payload []byte) (any, []byte, error) {
	m, err := t.Decode(payload)
	if err != nil {
		return nil, nil, err
	}
	if t.Form != Raw {
		t.Form = Enveloped
		if m.Bare {
			t.Form = Bare
		}
	}
	again, err := t.Encode(m.Envelope, m.Data)
	return m, again, err
}

// sortedRows and byName are the table as it is looked up; they hold nothing that topics does not say.
var (
	sortedRows = sync.OnceValue(func() []row {
		return slices.SortedFunc(slices.Values(topics()), func(a, b row) int { return cmp.Compare(a.spec().Name, b.spec().Name) })
	})
	byName = sync.OnceValue(func() map[string]row {
		m := map[string]row{}
		for _, t := range topics() {
			m[t.spec().Name] = t
		}
		return m
	})
)

// Table is the topic table, sorted by name.
func Table() []Row {
	rows := make([]Row, 0, len(sortedRows()))
	for _, t := range sortedRows() {
		r := Row{Spec: t.spec()}
		if r.Form != Raw {
			r.Payload = t.payload().Name()
			r.Schema = schemaOf(t)
			r.Example = example(r.Spec)
		}
		rows = append(rows, r)
	}
	return rows
}

// goldens are the valid messages of the tests, so that every example that is shown is proven.
//
//go:embed testdata/*/valid-envelope.json testdata/*/valid-bare.json
var goldens embed.FS

func example(s Spec) []byte {
	name := "testdata/" + fileName(s.Name) + "/valid-" + s.Form.String() + ".json"
	b, err := goldens.ReadFile(name)
	if err != nil {
		return nil // TestTable sees to it that there is one
	}
	return bytes.TrimSpace(b)
}

// fileName is a topic as the name of a file.
func fileName(topic string) string { return strings.ReplaceAll(topic, "/", "-") }

// Lookup finds the row of a topic, also when it belongs to a family; the name is then that of the family.
func Lookup(topic string) (Spec, bool) {
	if t := find(topic); t != nil {
		return t.spec(), true
	}
	return Spec{}, false
}

// Validate says what is wrong with a message by the row of its topic. Topics without a row pass.
func Validate(topic string, payload []byte) error {
	t := find(topic)
	if t == nil {
		return nil
	}
	_, _, err := t.recode(payload)
	return err
}

func find(topic string) row {
	if t := byName()[topic]; t != nil {
		return t
	}
	if i := strings.LastIndexByte(topic, '/'); i > 0 { // the "+" of a family is its last level
		if t := byName()[topic[:i]+"/+"]; t != nil {
			return t
		}
	}
	return nil
}
