package storage

// tell queues a note for the notifier. d.mu is held.
func (d *DB) tell(notes ...note) {
	d.told = append(d.told, notes...)
	if d.deaf && len(d.told) > 0 {
		d.deaf = false
		d.hear <- struct{}{} // never blocks: one token for each time that deaf was set
	}
}

// notify is the notifier goroutine. It ends when the committer has ended and all is told.
func (d *DB) notify() {
	var notes []note
	for {
		d.mu.Lock()
		notes, d.told = d.told, notes[:0]
		f := d.notified
		if len(notes) == 0 {
			if d.ended {
				d.mu.Unlock()
				return
			}
			d.deaf = true
		}
		d.mu.Unlock()
		if len(notes) == 0 {
			<-d.hear
			continue
		}
		for i := range notes {
			notes[i].done.Committed(notes[i].err)
		}
		if f != nil {
			f()
		}
		clear(notes)
		if cap(notes) > 1<<14 {
			notes = nil
		}
	}
}
