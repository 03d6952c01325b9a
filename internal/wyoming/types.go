package wyoming

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tarsd/tarsd/internal/audio"
)

// The types of events that tarsd uses. A peer ignores those that it does not know.
const (
	TypeDescribe = "describe" // asks for info
	TypeInfo     = "info"     // Info
	TypePing     = "ping"     // Ping
	TypePong     = "pong"     // Ping
	TypeError    = "error"    // Error

	TypeAudioStart = "audio-start" // Format
	TypeAudioChunk = "audio-chunk" // Format, and sound behind it
	TypeAudioStop  = "audio-stop"  // At

	TypeTranscribe      = "transcribe"       // Transcribe
	TypeTranscript      = "transcript"       // Transcript
	TypeTranscriptStart = "transcript-start" // Transcript without text
	TypeTranscriptChunk = "transcript-chunk" // Transcript, a part of the text
	TypeTranscriptStop  = "transcript-stop"

	TypeSynthesize        = "synthesize"         // Synthesize
	TypeSynthesizeStart   = "synthesize-start"   // Synthesize without text
	TypeSynthesizeChunk   = "synthesize-chunk"   // Synthesize, a part of the text
	TypeSynthesizeStop    = "synthesize-stop"    // the text is whole
	TypeSynthesizeStopped = "synthesize-stopped" // and so is its sound

	TypeDetect      = "detect"    // Detect
	TypeDetection   = "detection" // Detection
	TypeNotDetected = "not-detected"

	TypeVoiceStarted = "voice-started" // At
	TypeVoiceStopped = "voice-stopped" // At
)

// New makes an event of a type and its data, which is one of the structs of this package; nil for none.
func New(kind string, data any) Event {
	if data == nil {
		return Event{Type: kind}
	}
	b, err := json.Marshal(data)
	if err != nil {
		panic(err) // only other types than ours cannot be written as JSON
	}
	return Event{Type: kind, Data: b}
}

// Decode reads the data into v, one of the structs of this package. Fields that it does not have are
// ignored, and what the data lacks stays as it is.
func (e Event) Decode(v any) error {
	if len(e.Data) == 0 {
		return nil
	}
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("%s: %w", e.Type, err)
	}
	return nil
}

// At is a moment of a stream of sound.
type At struct {
	Timestamp *int64 `json:"timestamp,omitempty"` // milliseconds
}

// Format is that of sound: signed little endian samples of Width bytes.
type Format struct {
	Rate      int    `json:"rate"`  // samples a second
	Width     int    `json:"width"` // bytes of a sample
	Channels  int    `json:"channels"`
	Timestamp *int64 `json:"timestamp,omitempty"` // milliseconds
}

// Bounds of the sound that is taken.
const (
	MinRate     = 8000
	MaxRate     = 48000
	maxChannels = 8
)

// Mono16 is the format of mono sound with samples of 16 bits.
func Mono16(rate int) Format { return Format{Rate: rate, Width: 2, Channels: 1} }

// Check reports a format that Mono cannot take.
func (f Format) Check() error {
	if f.Width != 2 || f.Channels < 1 || f.Channels > maxChannels || f.Rate < MinRate || f.Rate > MaxRate {
		return fmt.Errorf("%d Hz, %d bytes, %d channels", f.Rate, f.Width, f.Channels)
	}
	return nil
}

// Mono returns the samples of one channel, the first: of a microphone with several all hear the same.
// f has passed Check. Less than a whole frame at the end is left out.
func (f Format) Mono(b []byte) []int16 {
	pcm := audio.AppendSamples(make([]int16, 0, len(b)/2), b)
	if f.Channels == 1 {
		return pcm
	}
	n := len(pcm) / f.Channels
	for i := range n {
		pcm[i] = pcm[i*f.Channels]
	}
	return pcm[:n]
}

// Format returns the format of an audio-start or audio-chunk, unchecked.
func (e Event) Format() (f Format, err error) {
	if len(e.Data) == 0 {
		return f, errors.New(e.Type + ": no format")
	}
	err = e.Decode(&f)
	return f, err
}

// Chunk makes an audio-chunk of mono sound.
func Chunk(rate int, pcm []int16) Event {
	e := New(TypeAudioChunk, Mono16(rate))
	e.Payload = audio.AppendBytes(make([]byte, 0, 2*len(pcm)), pcm)
	return e
}

// Ping asks for a pong with the same text.
type Ping struct {
	Text string `json:"text,omitempty"`
}

// Error says what went wrong.
type Error struct {
	Text string `json:"text"`
	Code string `json:"code,omitempty"` // for programs
}

// PeerError makes a Go error of an error event. What the peer says is quoted, and cut.
func (e Event) PeerError() error {
	var d Error
	_ = e.Decode(&d) // no text is no text
	return fmt.Errorf("the peer says: %.200q", d.Text)
}

// Transcribe asks for the text of the sound that follows.
type Transcribe struct {
	Name     string `json:"name,omitempty"`     // of a model
	Language string `json:"language,omitempty"` // such as en
}

// Transcript is text that was understood.
type Transcript struct {
	Text     string `json:"text"`
	Language string `json:"language,omitempty"`
}

// Synthesize asks for the sound of a text.
type Synthesize struct {
	Text  string           `json:"text,omitempty"`
	Voice *SynthesizeVoice `json:"voice,omitempty"`
}

// SynthesizeVoice says which voice speaks: by its name, else by its language.
type SynthesizeVoice struct {
	Name     string `json:"name,omitempty"`
	Language string `json:"language,omitempty"`
	Speaker  string `json:"speaker,omitempty"` // of a voice that has several
}

// Detect asks to listen for wake words in the sound that follows.
type Detect struct {
	Names []string `json:"names,omitempty"` // of models; none: all
}

// Detection tells of a wake word.
type Detection struct {
	Name      string `json:"name,omitempty"`      // of the model
	Timestamp *int64 `json:"timestamp,omitempty"` // milliseconds, of the chunk that it ended in
}
