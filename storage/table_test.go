package storage

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTable(t *testing.T) {
	t.Parallel()
	for _, durability := range []Durability{Strict, Relaxed} {
		path := filepath.Join(t.TempDir(), "t.db")
		db, err := Open(Options{Path: path, Durability: durability})
		require.NoError(t, err)
		table := db.Table(Memory)
		write := func(puts, deletes [][]byte) error {
			done := make(chan error, 1)
			table.Write(func(err error) { done <- err }, puts, deletes)
			return <-done
		}
		key, value := []byte("k"), []byte("v")
		require.NoError(t, write([][]byte{key, value, []byte("k2"), nil}, nil))
		key[0], value[0] = 'x', 'x' // it keeps copies
		got, found, err := table.Get([]byte("k"))
		require.NoError(t, err)
		assert.True(t, found)
		assert.Equal(t, "v", string(got))
		_, found, err = table.Get([]byte("none"))
		require.NoError(t, err)
		assert.False(t, found)

		var keys []string
		require.NoError(t, table.Range([]byte("k"), func(k, _ []byte) error { keys = append(keys, string(k)); return nil }))
		assert.Equal(t, []string{"k", "k2"}, keys)
		require.NoError(t, write(nil, [][]byte{[]byte("k")}))
		_, found, err = table.Get([]byte("k"))
		require.NoError(t, err)
		assert.False(t, found)
		_, err = db.Get(Persona, []byte("k2"))
		require.ErrorIs(t, err, ErrNotFound, "another bucket")

		require.NoError(t, db.Close())
		require.ErrorIs(t, write([][]byte{[]byte("k"), nil}, nil), ErrClosed)
		_, _, err = table.Get([]byte("k2"))
		require.ErrorIs(t, err, ErrClosed)
	}
}
