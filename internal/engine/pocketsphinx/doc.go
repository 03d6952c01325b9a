// Package pocketsphinx recognises English speech: CMU PocketSphinx, compiled to WebAssembly, runs
// inside this process without any C. It knows samples and text only.
//
// The program, its sound model, a small language model and dictionaries are not in the repository:
// `make assets` makes them of PocketSphinx's source distribution, see build, and they are built
// in. Without them Open returns ErrMissing, and everything else works.
//
// A Decoder is one instance of the program, with its own memory of 64 MiB at most. It hears an
// utterance in one of two ways: piece by piece with Begin, Feed, Partial and End, with the language
// model; or as a whole with Whole, with the language model or with a grammar of given sentences.
// As a whole is better, because the mean of the sound is known from the beginning. There are two
// decoders at most, one of which is kept. One whose program fails in any way, or
// has come to need much memory, is not used again.
package pocketsphinx
