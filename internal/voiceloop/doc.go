// Package voiceloop has tests of the robot as people have it: the real program between two null sinks of a
// private PulseAudio, a voice that speaks into its microphone, and a recogniser of another kind
// (pocketsphinx from PyPI, see setup.sh) that says what came out of its speaker. Nothing of the program's
// inside is known here.
package voiceloop
