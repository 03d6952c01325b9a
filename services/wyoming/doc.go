// Package wyoming offers the robot's ears and mouth to peers of the Wyoming protocol, such as Home
// Assistant: speech to text, text to speech, and the wake word. It owns what a connection asks for and
// gets; engines come from whoever makes the service, and the protocol is in internal/wyoming. Nothing
// of it is on topics: who asks here gets the answer here, and the robot itself says and does nothing.
//
// Of each connection one goroutine reads and one works, so that a peer that goes ends what was being
// made for it.
package wyoming
