// Package legacy reads the memory file of the system before this one: a Python pickle, often
// compressed, of an object with the keys vectors and documents. A pickle is a program. This one is
// never run: the reader knows the opcodes that build plain values, takes the few constructors of
// numpy's arrays as something it does not look at, and refuses everything else by name. What it
// reads is bounded in bytes and values.
package legacy
