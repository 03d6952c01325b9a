// Package index finds texts by their words and by their meaning. It holds no texts: it knows
// each one by a number, and keeps what ranking needs, all in memory. Words are ranked by BM25
// (the variant of Lucene, k1 1.5, b 0.75) over English stems, vectors by cosine, and Fuse makes
// one list of several.
//
// Vectors are kept as one byte for each dimension, which turns them by less than 0.001 in cosine,
// and as one bit. The bits choose the candidates among many, the bytes rank them: at 100,000 texts
// that is ten times as fast as looking at all bytes, and the test Candidates says what it misses.
//
// An Index is for one goroutine at a time that changes it, or many that read.
package index
