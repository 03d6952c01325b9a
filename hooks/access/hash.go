package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/crypto/argon2"
)

// Params are the costs of one argon2id computation. They are kept with each password, so that
// they can change; a password with other costs is computed anew at its user's next login.
type Params struct {
	Memory  uint32 // KiB
	Time    uint32 // passes
	Threads uint8
}

// DefaultParams is what OWASP recommends where memory is scarce: 19 MiB, two passes.
func DefaultParams() Params {
	return Params{Memory: 19 * 1024, Time: 2, Threads: 1}
}

// The limits keep a damaged or foreign record from taking the board's memory or minutes.
const (
	maxHashMemory  = 1 << 20 // KiB
	maxHashTime    = 64
	maxHashThreads = 16
	saltBytes      = 16
	sumBytes       = 32
	maxSumBytes    = 64
)

// ErrBusy says that too many logins wait for their password to be computed.
var ErrBusy = errors.New("too many logins at once")

func (p Params) validate() error {
	if p.Memory < 8*uint32(p.Threads) || p.Memory > maxHashMemory || p.Time < 1 || p.Time > maxHashTime ||
		p.Threads < 1 || p.Threads > maxHashThreads {
		return fmt.Errorf("argon2id costs out of range: %d KiB, %d passes, %d threads", p.Memory, p.Time, p.Threads)
	}
	return nil
}

// passwordHash is a stored password. It does not change once made: its address stands for it.
type passwordHash struct {
	params Params
	salt   []byte
	sum    []byte
}

func newPasswordHash(password []byte, params Params) *passwordHash {
	h := &passwordHash{params: params, salt: make([]byte, saltBytes)}
	_, _ = rand.Read(h.salt) // never fails: the runtime ends the process instead
	h.sum = argon2.IDKey(password, h.salt, params.Time, params.Memory, params.Threads, sumBytes)
	return h
}

// matches takes as long for a wrong password as for the right one.
func (h *passwordHash) matches(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.params.Time, h.params.Memory, h.params.Threads, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// hasher bounds how many computations run, each of which holds Params.Memory, and how many wait.
type hasher struct {
	params     Params
	slots      chan struct{}
	maxWaiting int64
	waiting    atomic.Int64
	nobody     *passwordHash // what the password of an unknown user is compared with
}

func newHasher(params Params, concurrent, maxWaiting int) *hasher {
	nobody := &passwordHash{params: params, salt: make([]byte, saltBytes), sum: make([]byte, sumBytes)}
	_, _ = rand.Read(nobody.salt)
	_, _ = rand.Read(nobody.sum) // no password is known to have it
	return &hasher{
		params:     params,
		slots:      make(chan struct{}, concurrent),
		maxWaiting: int64(maxWaiting),
		nobody:     nobody,
	}
}

// acquire waits for the right to compute, which release gives back. It fails with ErrBusy when
// too many wait already, or with the context's error.
func (h *hasher) acquire(ctx context.Context) error {
	select {
	case h.slots <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > h.maxWaiting {
		h.waiting.Add(-1)
		return ErrBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) release() { <-h.slots }
