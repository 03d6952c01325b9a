// Package tts is the robot's mouth: it speaks what comes on tts/say, in order, and says on
// tts/status what it does. It owns the queue of sentences, when an utterance begins and ends, pause, stop,
// mute and volume, the store of short phrases, and where sound goes: to the speaker of this machine, or
// on audio/out/<site> to whoever asked from there. Engines are in voice, the text for them is made
// by spoken, devices are in internal/audio.
//
// One goroutine, Run's, owns the queue (queue.go), which knows neither clock nor bus: each event
// comes with its time, and what is to be done is left in a list of effects. One more goroutine plays
// (player.go) and up to two synthesize (clip.go), the sentence that is to be heard and the next.
package tts
