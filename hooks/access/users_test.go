package access

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/storage"
)

// cheap are costs that let a test log in a thousand times.
var cheap = Params{Memory: 64, Time: 1, Threads: 1}

// memoryStore is a Store that can fail.
type memoryStore struct {
	mu   sync.Mutex
	data map[string][]byte
	err  error
	puts int
}

func (m *memoryStore) Range(_ storage.Bucket, _ []byte, f func(k, v []byte) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(m.data)) {
		// Valid during the call only, as in bbolt.
		key, value := []byte(k), bytes.Clone(m.data[k])
		err := f(key, value)
		clear(key)
		clear(value)
		if err != nil {
			return err
		}
	}
	return m.err
}

func (m *memoryStore) Put(_ context.Context, b storage.Bucket, key, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil || b != "users" {
		return m.err
	}
	if m.data == nil {
		m.data = map[string][]byte{}
	}
	m.puts++
	m.data[string(key)] = bytes.Clone(value)
	return nil
}

func (m *memoryStore) Delete(_ context.Context, _ storage.Bucket, key []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		delete(m.data, string(key))
	}
	return m.err
}

func testRoles(t testing.TB) *Roles {
	t.Helper()
	r, err := NewRoles(nil)
	require.NoError(t, err)
	return r
}

func openUsers(t testing.TB, s Store) *Users {
	t.Helper()
	u, err := OpenUsers(UsersOptions{Store: s, Roles: testRoles(t), Params: cheap, Log: zerolog.Nop()})
	require.NoError(t, err)
	return u
}

// right reports whether a password is a user's.
func (u *Users) right(name, password string) bool {
	r, err := u.verify(name, []byte(password))
	return err == nil && r != nil
}

func TestUsers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := &memoryStore{}
	u := openUsers(t, s)
	var changed []string
	u.OnChange(func(name string) {
		changed = append(changed, name)
		u.List() // nothing is locked
	})
	assert.Zero(t, u.Len())

	require.NoError(t, u.Update(ctx, "esp32", Change{Password: []byte("secret"), Roles: []string{"device"}}))
	require.NoError(t, u.Update(ctx, "anna", Change{Password: []byte("other"), Roles: []string{"page", "viewer"}, ClientIDs: []string{"anna-*"}}))
	require.NoError(t, u.SetRoles(ctx, "cert.example", []string{"service"}))
	assert.Equal(t, 3, u.Len())
	assert.True(t, u.right("esp32", "secret"))
	assert.False(t, u.right("esp32", "other"))
	assert.False(t, u.right("anna", "secret"))
	assert.False(t, u.right("cert.example", ""))
	assert.False(t, u.right("nobody", "secret"))

	again := openUsers(t, s)
	assert.Equal(t, u.List(), again.List())
	assert.True(t, again.right("esp32", "secret"))
	assert.False(t, again.right("esp32", "secreT"))
	list := again.List()
	require.Len(t, list, 3)
	assert.Equal(t, "anna", list[0].Name)
	assert.Equal(t, []string{"page", "viewer"}, list[0].Roles)
	assert.Equal(t, []string{"anna-*"}, list[0].ClientIDs)
	assert.True(t, list[0].HasPassword)
	assert.False(t, list[1].HasPassword)
	assert.False(t, list[0].Created.IsZero())

	require.NoError(t, u.SetPassword(ctx, "esp32", []byte("new")))
	assert.False(t, u.right("esp32", "secret"))
	assert.True(t, u.right("esp32", "new"))
	require.NoError(t, u.SetClientIDs(ctx, "anna", nil))
	got, ok := u.Get("anna")
	require.True(t, ok)
	assert.Empty(t, got.ClientIDs)
	assert.Equal(t, []string{"page", "viewer"}, got.Roles)
	require.NoError(t, u.Delete(ctx, "esp32"))
	assert.False(t, u.right("esp32", "new"))
	_, ok = u.Get("esp32")
	assert.False(t, ok)
	assert.ErrorIs(t, u.Delete(ctx, "esp32"), ErrUnknownUser)
	assert.Equal(t, []string{"esp32", "anna", "cert.example", "esp32", "anna", "esp32"}, changed)
	assert.Equal(t, 2, openUsers(t, s).Len())
}

func TestUsersRefuse(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	u := openUsers(t, nil)
	require.NoError(t, u.SetRoles(ctx, "anna", []string{"page"}))
	u.OnChange(func(string) { t.Error("changed") })
	many := make([]string, maxRoles+1)
	for i := range many {
		many[i] = "page"
	}
	cases := []struct {
		name string
		err  error
		want string
	}{
		{"new without role", u.SetPassword(ctx, "bert", []byte("x")), "a new user needs a role (admin, device, page, service, viewer)"},
		{"unknown role", u.SetRoles(ctx, "bert", []string{"root"}), `unknown role "root"`},
		{"no role", u.SetRoles(ctx, "anna", nil), "needs a role"},
		{"too many roles", u.SetRoles(ctx, "anna", many), "more than"},
		{"empty password", u.SetPassword(ctx, "anna", nil), "empty"},
		{"long password", u.SetPassword(ctx, "anna", bytes.Repeat([]byte("x"), 1025)), "longer"},
		{"empty pattern", u.SetClientIDs(ctx, "anna", []string{""}), "pattern"},
		{"empty name", u.SetRoles(ctx, "", []string{"page"}), "1 to 128 bytes"},
		{"long name", u.SetRoles(ctx, strings.Repeat("x", 129), []string{"page"}), "1 to 128 bytes"},
		{"wildcard", u.SetRoles(ctx, "a+", []string{"page"}), "none of"},
		{"star", u.SetRoles(ctx, "a*", []string{"page"}), "none of"},
		{"level", u.SetRoles(ctx, "a/b", []string{"page"}), "none of"},
		{"dollar", u.SetRoles(ctx, "$tarsd", []string{"page"}), "none of"},
		{"control", u.SetRoles(ctx, "a\nb", []string{"page"}), "printable"},
		{"space", u.SetRoles(ctx, " a", []string{"page"}), "printable"},
		{"encoding", u.SetRoles(ctx, "a\xff", []string{"page"}), "UTF-8"},
	}
	for _, c := range cases {
		require.Error(t, c.err, c.name)
		assert.ErrorContains(t, c.err, c.want, c.name)
	}
	assert.Equal(t, 1, u.Len())
}

func TestUsersStoreFails(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := &memoryStore{}
	u := openUsers(t, s)
	require.NoError(t, u.Update(ctx, "anna", Change{Password: []byte("pa55word"), Roles: []string{"page"}}))
	u.OnChange(func(string) { t.Error("changed") })
	s.err = errors.New("disk full")
	for _, err := range []error{
		u.SetPassword(ctx, "anna", []byte("n3wpassword")), u.SetRoles(ctx, "anna", []string{"admin"}), u.Delete(ctx, "anna"),
	} {
		require.ErrorIs(t, err, s.err)
		assert.NotContains(t, err.Error(), "n3wpassword")
	}
	assert.True(t, u.right("anna", "pa55word"), "what is not on disk is not in force")
	assert.False(t, u.right("anna", "n3wpassword"))
	_, err := OpenUsers(UsersOptions{Store: s, Roles: testRoles(t)})
	assert.ErrorIs(t, err, s.err)
	_, err = OpenUsers(UsersOptions{Roles: testRoles(t), Params: Params{Memory: 1, Time: 1, Threads: 1}})
	assert.ErrorContains(t, err, "out of range")
}

func TestUsersDamagedRecord(t *testing.T) {
	t.Parallel()
	s := &memoryStore{}
	require.NoError(t, openUsers(t, s).Update(t.Context(), "anna", Change{Password: []byte("pa55word"), Roles: []string{"page"}}))
	s.data["bert"] = s.data["anna"][:20]
	s.data["carl"] = append([]byte{9}, s.data["anna"]...)
	s.data["dora"] = nil
	s.data["a/b"] = s.data["anna"]
	var log bytes.Buffer
	u, err := OpenUsers(UsersOptions{Store: s, Roles: testRoles(t), Params: cheap, Log: zerolog.New(&log)})
	require.NoError(t, err)
	assert.Equal(t, 1, u.Len())
	assert.Equal(t, 4, strings.Count(log.String(), "user left out"))
	assert.Contains(t, log.String(), "record of version 9")
	assert.NotContains(t, log.String(), "pa55word")
	require.NoError(t, u.Update(t.Context(), "bert", Change{Password: []byte("x"), Roles: []string{"page"}}))
	assert.Equal(t, 2, openUsers(t, s).Len())
}

func TestUsersRoleNotConfiguredAnyMore(t *testing.T) {
	t.Parallel()
	s := &memoryStore{}
	roles, err := NewRoles(map[string][]string{"kitchen": {"both kitchen/#"}})
	require.NoError(t, err)
	u, err := OpenUsers(UsersOptions{Store: s, Roles: roles, Params: cheap})
	require.NoError(t, err)
	require.NoError(t, u.SetRoles(t.Context(), "anna", []string{"kitchen"}))
	var log bytes.Buffer
	u, err = OpenUsers(UsersOptions{Store: s, Roles: testRoles(t), Params: cheap, Log: zerolog.New(&log)})
	require.NoError(t, err)
	assert.Equal(t, 1, u.Len())
	assert.Contains(t, log.String(), "role that grants nothing")
}

func TestCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		u := openUsers(t, nil)
		require.NoError(t, u.Update(ctx, "anna", Change{Password: []byte("one"), Roles: []string{"page"}}))
		knows := func(password string) bool { return u.recall("anna", []byte(password)) != nil }
		assert.False(t, knows("one"))
		require.False(t, u.right("anna", "two"))
		assert.False(t, knows("two"), "a wrong password is not remembered")
		require.True(t, u.right("anna", "one"))
		assert.True(t, knows("one"))
		assert.False(t, knows("two"))
		assert.False(t, knows(""))
		<-time.After(15*time.Minute + time.Second) // fake: instant
		assert.False(t, knows("one"), "for a short time only")

		require.True(t, u.right("anna", "one"))
		require.NoError(t, u.SetPassword(ctx, "anna", []byte("two")))
		assert.False(t, knows("one"))
		assert.Empty(t, u.cache.entries)
		require.True(t, u.right("anna", "two"))
		require.NoError(t, u.SetRoles(ctx, "anna", []string{"viewer"}))
		assert.Empty(t, u.cache.entries)
		require.True(t, u.right("anna", "two"))
		require.NoError(t, u.Delete(ctx, "anna"))
		assert.Empty(t, u.cache.entries)
		assert.Nil(t, u.recall("anna", []byte("two")))
	})
}

func TestRenewAfterCostsChanged(t *testing.T) {
	t.Parallel()
	s := &memoryStore{}
	old := openUsers(t, s)
	require.NoError(t, old.Update(t.Context(), "anna", Change{Password: []byte("one"), Roles: []string{"page"}}))
	u, err := OpenUsers(UsersOptions{Store: s, Roles: testRoles(t), Params: Params{Memory: 128, Time: 2, Threads: 1}})
	require.NoError(t, err)
	u.OnChange(func(string) { t.Error("the password is the same") })
	before := u.lookup("anna")
	r, err := u.verify("anna", []byte("one"))
	require.NoError(t, err)
	u.renew(t.Context(), r, []byte("one"))
	after := u.lookup("anna")
	assert.Equal(t, uint32(128), after.password.params.Memory)
	assert.Same(t, &before.roles[0], &after.roles[0], "sessions stay")
	assert.NotNil(t, u.recall("anna", []byte("one")))
	u.cache.drop("anna")
	assert.True(t, u.right("anna", "one"))
	assert.Equal(t, 2, s.puts)
	u.renew(t.Context(), after, []byte("one"))
	assert.Equal(t, 2, s.puts, "once")
	u.renew(t.Context(), r, []byte("one"))
	assert.Equal(t, 2, s.puts, "not over a newer password")
}

func TestHasherBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(cheap, 2, 3)
		require.NoError(t, h.acquire(t.Context()))
		require.NoError(t, h.acquire(t.Context()))
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, 3)
		for range 3 {
			go func() { results <- h.acquire(ctx) }()
		}
		synctest.Wait()
		assert.ErrorIs(t, h.acquire(ctx), ErrBusy)
		h.release()
		require.NoError(t, <-results)
		cancel()
		require.ErrorIs(t, <-results, context.Canceled)
		require.ErrorIs(t, <-results, context.Canceled)
		h.release()
		require.NoError(t, h.acquire(t.Context()))
		assert.Zero(t, h.waiting.Load())
	})
}

func TestClientIDPatterns(t *testing.T) {
	t.Parallel()
	cases := []struct {
		patterns []string
		id       string
		want     bool
	}{
		{nil, "anything", true},
		{[]string{"esp-1"}, "esp-1", true},
		{[]string{"esp-1"}, "esp-10", false},
		{[]string{"esp-*"}, "esp-", true},
		{[]string{"esp-*"}, "esp-10", true},
		{[]string{"esp-*"}, "ESP-10", false},
		{[]string{"*"}, "", true},
		{[]string{"%u"}, "anna", true},
		{[]string{"%u-*"}, "anna-phone", true},
		{[]string{"%u-*"}, "bert-phone", false},
		{[]string{"a*b*c"}, "abc", true},
		{[]string{"a*b*c"}, "aXXbYYbZc", true},
		{[]string{"a*b*c"}, "aXXcYY", false},
		{[]string{"x", "**y"}, "zy", true},
		{[]string{"x", "y"}, "", false},
	}
	for _, c := range cases {
		r := &record{name: "anna", clientIDs: c.patterns}
		assert.Equal(t, c.want, r.mayUse(c.id), "%v %q", c.patterns, c.id)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	for _, r := range []*record{
		{name: "a", roles: []string{"page"}, created: at, changed: at},
		{name: "b c", roles: []string{"page", "kitchen"}, clientIDs: []string{"x*", "%u"}, created: at, changed: at.Add(time.Hour), password: newPasswordHash([]byte("x"), cheap)},
	} {
		got, err := decodeRecord(r.name, r.encode())
		require.NoError(t, err)
		assert.Equal(t, r, got)
		for i := range r.encode() {
			_, err := decodeRecord(r.name, r.encode()[:i])
			assert.Error(t, err, "cut at %d", i)
		}
		_, err = decodeRecord(r.name, append(r.encode(), 0))
		assert.Error(t, err, "trailing byte")
	}
}

// FuzzRecord decodes anything, and what decodes must encode to something that decodes the same.
func FuzzRecord(f *testing.F) {
	at := time.Unix(1_700_000_000, 0)
	f.Add("a", (&record{roles: []string{"page"}, created: at, changed: at}).encode())
	f.Add("b", (&record{roles: []string{"page"}, clientIDs: []string{"x"}, created: at, changed: at, password: newPasswordHash([]byte("x"), cheap)}).encode())
	f.Fuzz(func(t *testing.T, name string, value []byte) {
		r, err := decodeRecord(name, value)
		if err != nil {
			return
		}
		if r.password != nil && r.password.params.validate() != nil {
			t.Fatal("costs out of range")
		}
		again, err := decodeRecord(name, r.encode())
		require.NoError(t, err)
		require.Equal(t, r, again)
	})
}
