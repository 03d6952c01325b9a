// Package spoken turns what a language model or a person writes into what can be said: Plain takes
// the markdown away, Words writes numbers, times, units and addresses as words, and Sentences cuts a
// text into pieces for the synthesizer. It knows text only; Words knows English and leaves other
// languages to the synthesizer.
package spoken
