package access

import (
	"context"
	"strings"
	"time"
)

// renewTimeout keeps a disk that does not answer from holding up a login.
const renewTimeout = 2 * time.Second

// recall answers from the verification cache, nil if it does not know.
func (u *Users) recall(name string, password []byte) *record {
	if r := u.lookup(name); r != nil && r.password != nil && u.cache.holds(r, password) {
		return r
	}
	return nil
}

// verify computes the password's hash and compares. The caller holds a slot of the hasher. An
// unknown user, or one without a password, costs the same as a wrong password.
func (u *Users) verify(name string, password []byte) (*record, error) {
	if r := u.recall(name, password); r != nil {
		return r, nil // somebody else computed the same while we waited for the slot
	}
	r := u.lookup(name)
	if r == nil || r.password == nil {
		u.hasher.nobody.matches(password)
		return nil, errRefused
	}
	if !r.password.matches(password) {
		return nil, errRefused
	}
	now := u.lookup(name)
	if now == nil || now.password != r.password {
		return nil, errRefused // changed while we computed
	}
	u.cache.put(now, password)
	if u.lookup(name) != now {
		u.cache.drop(name) // changed since, and its drop may have come before our put
	}
	return now, nil
}

// renew computes a right password anew if its costs are not today's. The caller holds a slot of
// the hasher. A failure costs nothing but the chance: the old hash still serves.
func (u *Users) renew(ctx context.Context, r *record, password []byte) {
	if r.password == nil || r.password.params == u.hasher.params {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	fresh := newPasswordHash(password, u.hasher.params)
	err := u.commit(ctx, r.name, func(old *record) (*record, error) {
		if old == nil || old.password != r.password {
			return nil, errRefused // changed meanwhile: the new password is not ours to touch
		}
		next := *old // with the same list of roles: no session has to end for this
		next.password = fresh
		return &next, nil
	})
	if err != nil {
		u.log.Warn().Err(err).Str("user", r.name).Msg("password keeps its old hash")
		return
	}
	if now := u.lookup(r.name); now != nil && now.password == fresh {
		u.cache.put(now, password)
	}
}

// mayUse reports whether the user may use a client id.
func (r *record) mayUse(clientID string) bool {
	if len(r.clientIDs) == 0 {
		return true
	}
	for _, pattern := range r.clientIDs {
		if globMatch(strings.ReplaceAll(pattern, "%u", r.name), clientID) {
			return true
		}
	}
	return false
}

// globMatch matches a pattern in which * stands for any text, the empty one included. It is the
// loop that remembers the last star only, which takes at most len(pattern)*len(s) steps.
func globMatch(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
