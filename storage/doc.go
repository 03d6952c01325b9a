// Package storage owns the one file that holds what tarsd must not forget: a bbolt database with
// a bucket per kind of record, written by group commit. It knows nothing of what the records
// mean; what a record looks like is up to the package that submits it.
//
// Three goroutines meet here. Submitters append to the batch that is being gathered and never
// wait. The committer writes one batch at a time in one transaction; the next batch is what
// gathered meanwhile, so that no timer is needed to make batches large when there is load. The
// notifier tells the submitters, in order, that their data is on disk.
//
// Every value carries a checksum, because bbolt has none for its pages: on a cheap card a torn
// write can leave a page that is well formed and wrong. The whole file is checked when it is
// opened, by our own reader of the page format, before bbolt maps it: bbolt trusts the file and
// panics, in a goroutine that nobody can recover, or faults on one that is damaged or cut short.
// A page that the disk never wrote still is a good page, of an older state: the ledger, a sum of
// all records that each transaction brings up to date, tells that.
//
// A file is moved aside and never deleted. A full or failing disk does not stop the server: what
// is acknowledged stays in memory until it can be written (see Mode and State).
package storage
