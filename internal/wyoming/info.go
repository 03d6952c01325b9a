package wyoming

// Info says what a peer offers. Lists are never null on the wire: the Python peers walk them unasked.
type Info struct {
	ASR  []ASRProgram  `json:"asr"`
	TTS  []TTSProgram  `json:"tts"`
	Wake []WakeProgram `json:"wake"`
}

// Attribution says who made something, and where it is from.
type Attribution struct {
	Name string `json:"name"`
	URL  string `json:"url"`
}

// Artifact is a program, a model or a voice.
type Artifact struct {
	Name        string      `json:"name"` // the first of its kind is the default
	Attribution Attribution `json:"attribution"`
	Installed   bool        `json:"installed"`
	Description string      `json:"description,omitempty"`
	Version     string      `json:"version,omitempty"`
}

// Model is one for languages, such as en.
type Model struct {
	Artifact
	Languages []string `json:"languages"`
}

// ASRProgram recognises speech.
type ASRProgram struct {
	Artifact
	Models []Model `json:"models"`
	// Streaming: it sends transcript-start, -chunk and -stop.
	Streaming bool `json:"supports_transcript_streaming"`
	// NeedsVAD: it does not find the end of speech itself, but waits for audio-stop.
	NeedsVAD bool `json:"requires_external_vad"`
}

// TTSProgram speaks.
type TTSProgram struct {
	Artifact
	Voices []Model `json:"voices"`
	// Streaming: it takes synthesize-start, -chunk and -stop.
	Streaming bool `json:"supports_synthesize_streaming"`
}

// WakeModel knows a phrase.
type WakeModel struct {
	Model
	Phrase string `json:"phrase,omitempty"`
}

// WakeProgram hears wake words.
type WakeProgram struct {
	Artifact
	Models []WakeModel `json:"models"`
}

// Event makes the event of it.
func (i Info) Event() Event {
	i.ASR, i.TTS, i.Wake = append([]ASRProgram{}, i.ASR...), append([]TTSProgram{}, i.TTS...), append([]WakeProgram{}, i.Wake...)
	return New(TypeInfo, i)
}
