// Package contract is the bus in types: every topic, what its messages look like, and who sends
// and reads them. It owns the envelope, strict decoding, validation, defaults and the table from
// which the documents, the JSON Schemas, the page and the broker's dedup rules are made. It knows
// no network, no clock and no random numbers: identity and time come from the caller.
//
// The struct tags of the payload types are the one source:
//
//	json:"name"          key in the object
//	contract:"..."       options with commas between them:
//	    required         must be there (and is never null)
//	    null             a list, an object or any that is null while it is nil; pointers are always nullable
//	    drop             left out instead of null, empty, zero or false
//	    id, now          filled in by Topic.Fill while empty; left out while empty
//	    nullok           null on input counts as absent
//	    loose            a string that takes numbers and booleans as their text
//	    numeric          a number that takes numeric strings
//	    fold             an enum that takes any case
//	    extras           a map that takes all keys that the type does not name
//	    lenient, drop    on a blank field, for the whole type: unknown keys are ignored; null is left out
//	    union            on a blank field: the object is one of the types of the pointer fields
//	default:"x"          value when absent on input; on output for an empty string and for a zero out of range
//	min, max             of a number, or of the items of a list
//	enum:"a,b"           the only values
//	pattern:"re"         what a string, or a key of extras, must match
//	kinds:"object,..."   what an any may hold
//	when:"key,..."       the variant of a union that is meant when one of the keys is there
//	doc:"text"           for people
//
// JSON is read and written here and not by encoding/json, which takes keys in any case and repeated
// ones, refuses 5.0 for a whole number, does not say where an error is, and takes several times as long.
//
// A new topic is a row in the file of its domain, its name in topics, and messages in testdata:
// valid-envelope.json, valid-bare.json, accepted.jsonl and invalid.jsonl. "go test
// ./services/contract -update" writes the expected texts beside them, docs/topics.md and the schemas.
package contract
