// Package wake hears the wake word. It streams each microphone through the openWakeWord chain, decides
// when a score is a call, and follows what comes of it: the microphone is opened, speech is paused and
// goes on, is stopped by a cancel word, or the call comes to nothing. It owns wake/event, wake/mic while
// a call lasts, wake/score and wake/health.
//
// One goroutine for each microphone runs the detector (ear.go), which knows no bus; one, Run's, owns the
// machine (machine.go), which knows neither clock nor bus: each event comes with its time, and what is
// to be done is left in a list of effects. Nothing that publishes holds up a microphone.
//
// Where the microphones are is the matter of package ears, and what an interruption means for the
// answer in the making that of router: it too pauses and resumes, which the speech service takes for the
// same command.
package wake
