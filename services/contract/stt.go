package contract

// Speech recognition.
var (
	STTFinal = Topic[FinalTranscript]{Spec{
		Name: "stt/final", Type: "stt.final", QoS: 1, Dedup: true,
		Publishers: []string{"stt"}, Subscribers: []string{"router", "memory", "wake", "ui", "page"},
		Doc: "What was said. In the envelope, since a repeat must be recognised: it would be answered twice. The user property speech_end says in Unix seconds when the speech was over. " +
			"The legacy wake service and page read it bare, and get it so from our broker (devices.md); from another one they do not hear us.",
	}}
	STTPartial = Topic[PartialTranscript]{Spec{
		Name: "stt/partial", Type: "stt.partial",
		Publishers: []string{"stt"}, Subscribers: []string{"ui", "page"},
		Doc: "What was said so far; each replaces the one before, so a repeat changes nothing. An ellipsis alone says that somebody speaks and no word is known, an empty text that what was shown was nothing.",
	}}
	STTAudioFFT = Topic[AudioFFT]{Spec{
		Name: "stt/audio_fft", Type: "stt.audio_fft", Form: Bare,
		Reason:     "the legacy pages read fft at the top level",
		Publishers: []string{"ears"}, Subscribers: []string{"ui", "page"},
		Doc: "Spectrum of the microphone while there is more than noise, about 12 a second; the last one is all zeros. Both the pages' shape and the contract's are read.",
	}}
)

// PropSpeechEnd is the user property of stt/final that says when the speech was over, in Unix seconds. It
// is no field, since the legacy services refuse a transcript with one that they do not know.
const PropSpeechEnd = "speech_end"

// FinalTranscript is a recognised utterance. New sets Lang and IsFinal.
type FinalTranscript struct {
	MessageID  string   `json:"message_id" contract:"id" doc:"own id"`
	Text       string   `json:"text" contract:"required" doc:"the words"`
	Lang       string   `json:"lang" default:"en" doc:"language"`
	Confidence *float64 `json:"confidence" min:"0" max:"1" doc:"how sure the recogniser is"`
	UttID      *string  `json:"utt_id" doc:"utterance; it becomes the id of the request to the language model"`
	TS         float64  `json:"ts" contract:"now" doc:"Unix seconds"`
	IsFinal    bool     `json:"is_final" default:"true" doc:"always true here"`
}

// PartialTranscript is an utterance that goes on. New sets Lang.
type PartialTranscript struct {
	MessageID  string   `json:"message_id" contract:"id" doc:"own id"`
	Text       string   `json:"text" contract:"required" doc:"the words so far"`
	Lang       string   `json:"lang" default:"en" doc:"language"`
	Confidence *float64 `json:"confidence" min:"0" max:"1" doc:"how sure the recogniser is"`
	UttID      *string  `json:"utt_id" doc:"utterance"`
	TS         float64  `json:"ts" contract:"now" doc:"Unix seconds"`
	IsFinal    bool     `json:"is_final" default:"false" doc:"always false here"`
}

// AudioFFT is a spectrum in one of two shapes. We send Spectrum, which is what pages read.
type AudioFFT struct {
	_        struct{}      `contract:"union"`
	Spectrum *Spectrum     `when:"fft"`
	Data     *AudioFFTData `when:"fft_data"`
}

// Bins are the values, whatever the shape.
func (a AudioFFT) Bins() []float64 {
	switch {
	case a.Spectrum != nil:
		return a.Spectrum.FFT
	case a.Data != nil:
		return a.Data.FFTData
	default:
		return nil
	}
}

// Spectrum is what pages read.
type Spectrum struct {
	FFT []float64 `json:"fft" contract:"required" max:"8192" doc:"magnitudes, 0 to 1, from 0 Hz to half the sample rate"`
	TS  float64   `json:"ts" contract:"now" doc:"Unix seconds"`
}

// AudioFFTData is what the documents of the legacy system say.
type AudioFFTData struct {
	MessageID  string    `json:"message_id" contract:"id" doc:"own id"`
	FFTData    []float64 `json:"fft_data" contract:"required" max:"8192" doc:"magnitudes"`
	SampleRate int       `json:"sample_rate" contract:"required" min:"1" doc:"Hz"`
	TS         float64   `json:"ts" contract:"now" doc:"Unix seconds"`
}
