package delivery

import "github.com/tarsd/tarsd/internal/wire"

// Follower is an Inspector that has to know what became of the messages that it let pass. A message is
// taken when the engine has it: delivered, queued, retained, or of no interest to anybody. It is not when
// another hook objects, when a queue or the disk is full, or when its commit fails.
type Follower interface {
	Inspector
	// Outcome is called after each message that OnMessage let pass, on the reader goroutine and before
	// the next one.
	Outcome(taken bool)
	// Later is called in its place for a message that is delivered after its commit. What it returns
	// is called then, from any goroutine and without locks.
	Later() func(taken bool)
}

// follower tells the followers of a connection. It belongs to the reader goroutine.
type follower struct {
	all   []Follower
	taken bool
	after bool // they are told after a commit
}

func (f *follower) add(in Inspector) {
	if fo, ok := in.(Follower); ok {
		f.all = append(f.all, fo)
	}
}

// outcome ends a message.
func (f *follower) outcome() {
	if !f.after {
		for _, fo := range f.all {
			fo.Outcome(f.taken)
		}
	}
	f.taken, f.after = false, false
}

// later passes the end of a message on to its commit.
func (f *follower) later() (told []func(taken bool)) {
	f.after = true
	for _, fo := range f.all {
		told = append(told, fo.Later())
	}
	return told
}

// ackRepeat acknowledges a message that was accepted before under another packet id, perhaps a moment
// ago: what it repeats may be on its way to the disk.
func (l *link) ackRepeat(p *wire.PublishPacket) {
	if p.QoS == 0 {
		return
	}
	if l.e.store == nil {
		l.refuse(p, wire.Success)
		return
	}
	typ := wire.TypePuback
	if p.QoS == 2 {
		typ = wire.TypePubrec
		l.remember(p.ID, inboundMemory)
	}
	l.ackStored(typ, p.ID, wire.Success)
}
