// Package camera sees: it takes pictures from one source, keeps the newest, and hands it out at
// the rates that are asked for: as raw JPEG and in the contract's envelope, on request, and as an
// event when something moves.
//
// One goroutine captures. Everybody else waits for the newest picture, so that who is slow gets
// fewer pictures and slows nobody. A picture is turned, scaled and encoded when the first one
// wants it, once for all. When the source fails it is opened again with growing waits; meanwhile
// what is sent says on the picture itself that it is old. Pictures are never stored.
package camera
