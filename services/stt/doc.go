// Package stt is the robot's hearing: it turns microphones into transcripts. It owns when each
// microphone is open, where an utterance begins and ends, which transcript is worth publishing, and
// stt/partial and stt/final. Where microphones come from is another's matter (Microphones), engines are in
// recognise, the voice detector and devices in internal/.
//
// Each site has two goroutines: one takes frames and never waits (site.go), the other has an engine
// understand them (hear.go); a bounded queue of utterances lies between. Whether a microphone is open is
// decided by a machine without clock or bus (mic.go), which the handlers of messages move and the
// sites ask for each piece of sound, under one lock (mics.go).
package stt
