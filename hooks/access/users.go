package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/storage"
)

// Store is the part of the data file that Users needs; *storage.DB has it. Put and Delete return
// when the change is on disk.
type Store interface {
	Range(b storage.Bucket, prefix []byte, f func(k, v []byte) error) error
	Put(ctx context.Context, b storage.Bucket, key, value []byte) error
	Delete(ctx context.Context, b storage.Bucket, key []byte) error
}

// Named errors of Users.
var (
	ErrUnknownUser = errors.New("unknown user")
	ErrNoRole      = errors.New("a new user needs a role")
	ErrNoPassword  = errors.New("the password is empty or longer than 1024 bytes")
	errRefused     = errors.New("wrong user name or password")
)

const maxPasswordBytes = 1024

// User is what may be shown of a user.
type User struct {
	Name        string    `json:"name"`
	Roles       []string  `json:"roles"`
	ClientIDs   []string  `json:"client_ids,omitempty"` // patterns; none: any client id
	HasPassword bool      `json:"has_password"`         // false: only a certificate lets this user in
	Created     time.Time `json:"created"`
	Changed     time.Time `json:"changed"`
}

// UsersOptions configure OpenUsers. The zero value of every number means its default.
type UsersOptions struct {
	Store      Store // nil: users are kept in memory only
	Roles      *Roles
	Params     Params        // DefaultParams
	Concurrent int           // computations at once, each of Params.Memory; 2
	MaxWaiting int           // logins that wait for a computation before others get ErrBusy; 128
	CacheFor   time.Duration // how long a right password is remembered; 15 minutes, negative: not at all
	Log        zerolog.Logger
}

// Users are the people and things that may log in. All methods may be called at any time.
type Users struct {
	store  Store
	roles  *Roles
	hasher *hasher
	cache  *cache
	log    zerolog.Logger

	writing sync.Mutex // one change at a time
	table   atomic.Pointer[map[string]*record]
	watch   atomic.Pointer[[]func(user string)]
}

// OpenUsers loads the users. A record that cannot be read is reported in the log and left alone:
// its user cannot log in until the password is set anew.
func OpenUsers(o UsersOptions) (*Users, error) {
	if o.Params == (Params{}) {
		o.Params = DefaultParams()
	}
	if err := o.Params.validate(); err != nil {
		return nil, err
	}
	if o.CacheFor == 0 {
		o.CacheFor = 15 * time.Minute
	}
	u := &Users{store: o.Store, roles: o.Roles, cache: newCache(o.CacheFor), log: o.Log}
	u.hasher = newHasher(o.Params, orDefault(o.Concurrent, 2), orDefault(o.MaxWaiting, 128))
	table := make(map[string]*record)
	u.table.Store(&table)
	u.watch.Store(new([]func(string)))
	if u.store == nil {
		return u, nil
	}
	err := u.store.Range(storage.Users, nil, func(k, v []byte) error {
		r, err := decodeRecord(string(k), v)
		if err != nil {
			u.log.Error().Err(err).Str("user", string(k)).Msg("user left out")
			return nil
		}
		if err := u.roles.Check(r.roles); err != nil {
			u.log.Warn().Err(err).Str("user", r.name).Msg("user has a role that grants nothing")
		}
		table[r.name] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load users: %w", err)
	}
	return u, nil
}

func orDefault(n, fallback int) int {
	if n <= 0 {
		return fallback
	}
	return n
}

// CheckName says what is wrong with a user name. Placeholders put it into topic filters and client
// id patterns, so that it holds none of + # / * and does not start with $.
func CheckName(name string) error {
	switch {
	case name == "" || len(name) > maxNameBytes || !utf8.ValidString(name):
		return fmt.Errorf("user %q: a name has 1 to %d bytes of UTF-8", name, maxNameBytes)
	case !usable(name) || strings.Contains(name, "*"):
		return fmt.Errorf("user %q: a name holds none of + # / * and does not start with $", name)
	case strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return fmt.Errorf("user %q: a name is printable and has no space at its ends", name)
	}
	return nil
}

// Change is what Update does to a user; nil leaves a part as it is.
type Change struct {
	Password  []byte   // at most 1024 bytes
	Roles     []string // not empty
	ClientIDs []string // patterns with * and %u; empty, not nil: any client id
}

// Update changes a user in one step, and makes the user if there is none; a new user needs a
// role, and no password if a certificate is to let it in. When it returns the change is on disk
// and in force.
func (u *Users) Update(ctx context.Context, name string, c Change) error {
	if err := u.check(name, c); err != nil {
		return err
	}
	var password *passwordHash
	if c.Password != nil {
		if err := u.hasher.acquire(ctx); err != nil {
			return fmt.Errorf("set the password of %q: %w", name, err)
		}
		password = newPasswordHash(c.Password, u.hasher.params)
		u.hasher.release()
	}
	return u.apply(ctx, name, func(old *record) (*record, error) {
		now := time.Unix(time.Now().Unix(), 0) // as a record has it
		next := &record{name: name, created: now, changed: now}
		if old != nil {
			*next = *old
			next.changed = now
		}
		if c.Roles != nil {
			next.roles = c.Roles
		}
		if len(next.roles) == 0 {
			return nil, fmt.Errorf("user %q: %w (%s)", name, ErrNoRole, strings.Join(u.roles.Names(), ", "))
		}
		// A list of its own even if nothing in it changes, see record.roles.
		next.roles = slices.Clone(next.roles)
		if c.ClientIDs != nil {
			next.clientIDs = slices.Clone(c.ClientIDs)
		}
		if password != nil {
			next.password = password
		}
		return next, nil
	})
}

func (u *Users) check(name string, c Change) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if c.Password != nil && (len(c.Password) == 0 || len(c.Password) > maxPasswordBytes) {
		return fmt.Errorf("user %q: %w", name, ErrNoPassword)
	}
	if len(c.Roles) > maxRoles || len(c.ClientIDs) > maxClientIDs {
		return fmt.Errorf("user %q: more than %d roles or %d client ids", name, maxRoles, maxClientIDs)
	}
	if c.Roles != nil && len(c.Roles) == 0 {
		return fmt.Errorf("user %q: %w", name, ErrNoRole)
	}
	if err := u.roles.Check(c.Roles); err != nil {
		return fmt.Errorf("user %q: %w", name, err)
	}
	for _, pattern := range c.ClientIDs {
		if pattern == "" || len(pattern) > maxNameBytes {
			return fmt.Errorf("user %q: a client id pattern has 1 to %d bytes", name, maxNameBytes)
		}
	}
	return nil
}

// SetPassword gives a known user a new password.
func (u *Users) SetPassword(ctx context.Context, name string, password []byte) error {
	return u.Update(ctx, name, Change{Password: append([]byte{}, password...)})
}

// SetRoles replaces the roles of a user, who is made if unknown.
func (u *Users) SetRoles(ctx context.Context, name string, roles []string) error {
	return u.Update(ctx, name, Change{Roles: append([]string{}, roles...)})
}

// SetClientIDs binds a user to client ids that match one of the patterns; none means any.
func (u *Users) SetClientIDs(ctx context.Context, name string, patterns []string) error {
	return u.Update(ctx, name, Change{ClientIDs: append([]string{}, patterns...)})
}

// Delete removes a user. The error wraps ErrUnknownUser if there is none.
func (u *Users) Delete(ctx context.Context, name string) error {
	return u.apply(ctx, name, func(old *record) (*record, error) {
		if old == nil {
			return nil, fmt.Errorf("%w %q", ErrUnknownUser, name)
		}
		return nil, nil
	})
}

// apply commits what change makes of a user's record (nil: no user) and puts it in force.
func (u *Users) apply(ctx context.Context, name string, change func(old *record) (*record, error)) error {
	if err := u.commit(ctx, name, change); err != nil {
		return err
	}
	for _, f := range *u.watch.Load() {
		f(name)
	}
	return nil
}

func (u *Users) commit(ctx context.Context, name string, change func(old *record) (*record, error)) error {
	u.writing.Lock()
	defer u.writing.Unlock()
	next, err := change(u.lookup(name))
	if err != nil {
		return err
	}
	table := maps.Clone(*u.table.Load())
	if next == nil {
		delete(table, name)
		err = u.forget(ctx, name)
	} else {
		table[name] = next
		err = u.keep(ctx, next)
	}
	if err != nil {
		return err
	}
	u.table.Store(&table)
	u.cache.drop(name)
	return nil
}

func (u *Users) keep(ctx context.Context, r *record) error {
	if u.store == nil {
		return nil
	}
	if err := u.store.Put(ctx, storage.Users, []byte(r.name), r.encode()); err != nil {
		return fmt.Errorf("store user %q: %w", r.name, err)
	}
	return nil
}

func (u *Users) forget(ctx context.Context, name string) error {
	if u.store == nil {
		return nil
	}
	if err := u.store.Delete(ctx, storage.Users, []byte(name)); err != nil {
		return fmt.Errorf("delete user %q: %w", name, err)
	}
	return nil
}

// OnChange has f called after every change of a user and after its end, on the goroutine that
// changed it, when new logins already see the change. Whoever keeps sessions ends the user's there.
func (u *Users) OnChange(f func(user string)) {
	u.writing.Lock()
	defer u.writing.Unlock()
	watch := append(slices.Clone(*u.watch.Load()), f)
	u.watch.Store(&watch)
}

// List returns all users, sorted by name.
func (u *Users) List() []User {
	table := *u.table.Load()
	list := make([]User, 0, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		list = append(list, table[name].show())
	}
	return list
}

// Get returns one user.
func (u *Users) Get(name string) (User, bool) {
	if r := u.lookup(name); r != nil {
		return r.show(), true
	}
	return User{}, false
}

// Len returns how many users there are.
func (u *Users) Len() int { return len(*u.table.Load()) }

func (u *Users) lookup(name string) *record { return (*u.table.Load())[name] }

func (r *record) show() User {
	return User{
		Name: r.name, Roles: slices.Clone(r.roles), ClientIDs: slices.Clone(r.clientIDs),
		HasPassword: r.password != nil, Created: r.created, Changed: r.changed,
	}
}
