package contract

// Sound over the bus, for microphones and speakers that are elsewhere.
var (
	AudioIn = Topic[[]byte]{Spec{
		Name: "audio/in/+", Type: "audio.in", Form: Raw,
		Reason:     "sound is bytes",
		Publishers: []string{"device", "page"}, Subscribers: []string{"ears", "tts"},
		Doc: "Microphone of a site: mono, signed 16 bit, little endian, at most 200 ms a message, 20 ms are best; the rate in Hz is in the user property rate, 16000 without it. A message that begins with the header of a WAV file is as that says, for who has MQTT 3.1.1. Who sends here gets the answers to what it asks on audio/out; an empty message is no sound, and says only that.",
	}}
	AudioOut = Topic[[]byte]{Spec{
		Name: "audio/out/+", Type: "audio.out", Form: Raw,
		Reason:     "sound is bytes",
		Publishers: []string{"tts"}, Subscribers: []string{"device", "page"},
		Doc: "Speaker of a site: mono, signed 16 bit, little endian; the rate in Hz is in the user property rate, 16000 without it. An empty message ends an utterance; with the user property dropped it was stopped, and what has not been played is to be forgotten.",
	}}
)

// User properties of sound.
const (
	PropRate    = "rate"    // samples a second
	PropDropped = "dropped" // on audio/out: true at the end of an utterance that was stopped or paused
)
