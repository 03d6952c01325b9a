// Package dialogue judges whole dialogues: tarsd as a process of its own with its services, spoken to over
// MQTT only, by peers that play the wake word, the microphone, the keyboard, the page and the voice, and
// with a model's server that does what a script says (services/llm/llmtest).
//
// # Scripts
//
// Each file in testdata is a dialogue: one step a line, # begins a comment. TestDialogues plays all of them
// side by side, each with a tarsd of its own.
//
//	set KEY=VALUE          configuration, in the head of the script
//	covers WORDS           what the script is about, out of the list in script_test.go
//	mute                   nobody plays the voice
//
//	wake [KIND]            an event of the wake service
//	hear TEXT              somebody says something; hear@ORIGIN names the microphone
//	type TEXT              somebody types something; type@ORIGIN names the page
//	partial TEXT           somebody is speaking
//	publish TOPIC PAYLOAD  any message, as it is
//	model PARTS            what the model's server does with the next request: say, words, whole, wait NAME, stall,
//	                       cut, raw, event, huge, endless, fail STATUS TEXT HEADERS, call TOOL ARGUMENTS, silence
//	open NAME              lets the parts go on that wait for it
//	tool NAME SCHEMA => RESULT   offers a tool; its result may be "error WHY" or "nothing"
//	voice hold|go|off|on   speech does not end; ends; is not made at all; is made again
//	restart, kill          SIGTERM or SIGKILL, and a new start with the same data
//	quiet DURATION         nothing is said for that long
//
//	> say TEXT             the next thing that is said; * stands for anything, say@ORIGIN is to whom
//	> ask, move, halt, release, call   the next of these likewise
//	> state STATE REASON   a later state of the dialogue
//	> control, cancel, response, voice, motion, added, forgotten, persona, health   a later one of these
//	> told TEXT            the last line of the next request at the model's server
//	> context TEXT, > unaware TEXT     all lines of that request; what they must not hold
//	> gone N               clients that have left the model's server in the middle of an answer
//
// What is said, asked and moved has to be in the script, all of it and in its order. Beside that a watcher
// holds every dialogue to rules: no state lasts more than a second beyond its deadline, and idle has none;
// each request to the model gets exactly one response; each stream counts without a gap and ends exactly once;
// nothing is said of a turn that was stopped or superseded, or it is stopped in the same moment.
//
// TestStopLatency and TestTurnOverhead measure; their figures are in docs/dialogue.md.
package dialogue
