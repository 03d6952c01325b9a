// Package memory is the service that remembers: what was said to the robot, what it answered, and
// the facts that it was told to keep. It answers memory/query with what fits a text by its words
// and by its meaning, forgets on request, and gives everything out and takes it in again. It owns
// the persona too, because the system before this one had it here: the file, the traits that were
// changed since, and the retained system/character/current.
//
// A record is in the index, and so can be found by its words, as soon as the message that brings it
// has arrived; it goes to disk with the next group commit, and gets its vector from a goroutine
// that works through what has none. No turn waits for any of this.
//
// book keeps the records: the index in memory, texts and vectors on disk. search makes results of
// hits. Two goroutines of a run besides the handlers': the one that makes vectors, and the one that
// removes what is too old. One lock, book.mu, is held across no wait.
package memory
