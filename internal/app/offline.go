package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/hooks/access"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/storage"
)

// offlineLock is how long a command waits for a tarsd that is just ending.
const offlineLock = 3 * time.Second

// UserAdmin changes users, in the running tarsd or in its file.
type UserAdmin interface {
	List(ctx context.Context) ([]access.User, error)
	Change(ctx context.Context, c UserChange) error
	Close() error
}

// OpenUserAdmin finds the running tarsd of the configuration's data directory. If none runs it
// opens the data file itself.
func OpenUserAdmin(ctx context.Context, c config.Config, log zerolog.Logger) (UserAdmin, error) {
	r, err := dialRemote(ctx, c.DataDir)
	if err == nil {
		return r, nil
	}
	if !errors.Is(err, errNotRunning) {
		return nil, err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	db, err := openData(c, offlineLock, log)
	if err != nil {
		return nil, err
	}
	users, _, err := openUsers(c, db, access.UsersOptions{Log: log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &offline{db, users}, nil
}

// offline is the data file opened by a command.
type offline struct {
	db    *storage.DB
	users *access.Users
}

func (o *offline) List(context.Context) ([]access.User, error) { return o.users.List(), nil }

func (o *offline) Change(ctx context.Context, c UserChange) error { return c.apply(ctx, o.users) }

func (o *offline) Close() error { return o.db.Close() }

// Backup writes a verified copy of the data to a new file and returns its size in bytes. An
// existing file is not overwritten: it may be the only good copy.
func Backup(ctx context.Context, c config.Config, to string, log zerolog.Logger) (n int64, err error) {
	if _, err := os.Lstat(to); err == nil {
		return 0, fmt.Errorf("%s exists already: name a new file", to)
	}
	f, err := os.CreateTemp(filepath.Dir(to), filepath.Base(to)+".*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name()) // fails after the rename
	n, err = copyData(ctx, c, f, log)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return n, err
	}
	if err := storage.Verify(f.Name()); err != nil {
		return n, fmt.Errorf("the copy does not verify: %w", err)
	}
	if err := os.Link(f.Name(), to); err != nil { // unlike a rename it never replaces
		return n, err
	}
	return n, syncDir(filepath.Dir(to))
}

// copyData writes the data to w, from the running tarsd or from its file.
func copyData(ctx context.Context, c config.Config, w io.Writer, log zerolog.Logger) (int64, error) {
	r, err := dialRemote(ctx, c.DataDir)
	if err == nil {
		defer r.Close()
		return r.backup(ctx, w)
	}
	if !errors.Is(err, errNotRunning) {
		return 0, err
	}
	if _, err := os.Stat(dataFile(c)); err != nil {
		return 0, fmt.Errorf("no data to back up: %w", err)
	}
	db, err := openData(c, offlineLock, log)
	if err != nil {
		return 0, err
	}
	n, err := db.Backup(w)
	return n, errors.Join(err, db.Close())
}

// Restore puts a backup in the place of the data. The running tarsd, if there is one, restarts
// with it. Nothing happens if the backup does not verify; the data of before is kept beside it.
func Restore(ctx context.Context, c config.Config, from string) (restarted bool, err error) {
	if err := storage.Verify(from); err != nil {
		return false, fmt.Errorf("%s does not verify: %w", from, err)
	}
	f, err := os.Open(from)
	if err != nil {
		return false, err
	}
	defer f.Close()
	r, err := dialRemote(ctx, c.DataDir)
	if err == nil {
		defer r.Close()
		return true, r.restore(ctx, f)
	}
	if !errors.Is(err, errNotRunning) {
		return false, err
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return false, fmt.Errorf("data directory: %w", err)
	}
	return false, storage.Restore(dataFile(c), from)
}

// syncDir makes a new name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
