// Package router decides what becomes of what people say and type: a motion, an answer by rule,
// something to remember, or a question for the language model; and what is spoken of its answer.
//
// The dialogue is one state machine without clock or bus. The service feeds it events and
// carries out what it wants done. One goroutine owns the machine and never waits for the network:
// a stop is not queued behind anything. What is to be published goes by several lanes, each in order:
// one for each kind that is urgent (speech control, emergency stop, cancel), and one for the rest, out
// of which a stop removes what it makes pointless. What was on its way just then is undone.
package router
