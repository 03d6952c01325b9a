package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// openFile opens, locks and checks the file. One that is damaged is moved aside, and moved says
// where to; the file that is returned is a fresh one then, or has its last intact state.
func openFile(o Options) (f *os.File, moved string, err error) {
	f, err = lockFile(o.Path, os.O_RDWR|os.O_CREATE, false, o.LockTimeout)
	if err != nil {
		return nil, "", fmt.Errorf("open data file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err != nil {
		return f, "", fmt.Errorf("open data file: %w", err)
	}
	if info.Size() == 0 {
		if err := syncDir(o.Path); err != nil {
			return f, "", fmt.Errorf("open data file: %w", err)
		}
		return f, "", nil
	}
	began := time.Now()
	damage := checkOrRepair(f, info.Size(), o, &moved)
	if damage == nil {
		o.Log.Debug().Int64("bytes", info.Size()).Dur("took", time.Since(began)).Msg("data file checked")
		return f, moved, nil
	}
	if !errors.Is(damage, ErrDamaged) {
		return f, "", fmt.Errorf("open data file %s: %w", o.Path, damage)
	}
	fresh, moved, err := setAside(f, o)
	if err != nil {
		return f, "", err
	}
	o.Log.Error().Err(damage).Str("moved", moved).Msg("data file was damaged: starting with a fresh one")
	return fresh, moved, nil
}

// checkOrRepair checks the file. If the newest state is damaged and the one before is not, which
// is what a disk leaves that wrote the meta page before the rest, it goes back to that, with
// a copy of the file as it was.
func checkOrRepair(f *os.File, size int64, o Options, moved *string) error {
	metas, err := findMetas(f, size)
	if err != nil {
		return err
	}
	// Most of the file is read now, and again when it is loaded.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_WILLNEED)
	_, damage := checkTree(f, size, metas[0])
	if damage == nil || !errors.Is(damage, ErrDamaged) || len(metas) < 2 || metas[1].tx+1 != metas[0].tx {
		return damage
	}
	if c, err := checkTree(f, size, metas[1]); err != nil || c.schema == 0 {
		return damage
	}
	name, copied, err := createBeside(o.Path, ".damaged-")
	if err != nil {
		return fmt.Errorf("keep a copy of the damaged file: %w", err)
	}
	err = copyFile(copied, io.NewSectionReader(f, 0, size))
	if err == nil {
		_, err = f.WriteAt(make([]byte, headBytes+metaBytes), metas[0].page)
	}
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return fmt.Errorf("go back to the last intact state: %w", errors.Join(err, os.Remove(name)))
	}
	o.Log.Error().Err(damage).Str("copy", name).Msg("data file was damaged: the last commit is lost")
	*moved = name
	return nil
}

// setAside moves the damaged file away and opens a fresh one. It closes f if it succeeds.
func setAside(f *os.File, o Options) (fresh *os.File, moved string, err error) {
	moved, placeholder, err := createBeside(o.Path, ".damaged-")
	if err != nil {
		return nil, "", fmt.Errorf("move damaged data file aside: %w", err)
	}
	if err := errors.Join(placeholder.Close(), os.Rename(o.Path, moved), syncDir(o.Path)); err != nil {
		return nil, "", fmt.Errorf("move damaged data file aside: %w", err)
	}
	fresh, err = lockFile(o.Path, os.O_RDWR|os.O_CREATE, false, o.LockTimeout)
	if err != nil {
		return nil, "", fmt.Errorf("open data file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("open data file: %w", err), fresh.Close())
	}
	return fresh, moved, nil
}

// createBeside creates an empty file that is named after path, what, and the time.
func createBeside(path, what string) (name string, f *os.File, err error) {
	stem := path + what + time.Now().UTC().Format("20060102T150405Z")
	name = stem
	for i := 2; ; i++ {
		f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, os.ErrExist) {
			return name, f, err
		}
		name = fmt.Sprintf("%s-%d", stem, i)
	}
}

// copyFile writes, syncs and closes f.
func copyFile(f *os.File, r io.Reader) error {
	_, err := io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Verify checks a data file or a backup: meta pages, all other pages, the checksum of each
// record, and the schema. The error wraps ErrDamaged, ErrSchema, or ErrLocked if a process has
// it open, or is that of the system.
func Verify(path string) error {
	f, err := lockFile(path, os.O_RDONLY, true, 0)
	if err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	defer f.Close()
	if err := verify(f); err != nil {
		return fmt.Errorf("verify %s: %w", path, err)
	}
	return nil
}

func verify(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	metas, err := findMetas(f, info.Size())
	if err != nil {
		return err
	}
	c, err := checkTree(f, info.Size(), metas[0])
	switch {
	case err != nil:
		return err
	case c.schema == 0:
		return fmt.Errorf("%w: no data file of tarsd", ErrSchema)
	case c.schema > len(migrations):
		return fmt.Errorf("%w: it has %d, newest known is %d", ErrSchema, c.schema, len(migrations))
	}
	return nil
}

// Restore puts a copy of a backup in the place of the data file, which is kept beside it as
// <name>.before-restore-<time>. Nothing is changed unless the backup verifies (see Verify) and no
// process has the data file open (ErrLocked).
func Restore(dataPath, backupPath string) error {
	if err := restore(dataPath, backupPath); err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	return nil
}

func restore(dataPath, backupPath string) error {
	backup, err := lockFile(backupPath, os.O_RDONLY, true, 0)
	if err != nil {
		return err
	}
	defer backup.Close()
	if same, err := sameFile(backup, dataPath); err != nil || same {
		return errors.Join(err, fmt.Errorf("%s is the data file itself", backupPath))
	}
	if err := verify(backup); err != nil {
		return fmt.Errorf("%s: %w", backupPath, err)
	}
	// The lock is held until the file is in its place: nobody opens the old one meanwhile.
	old, err := lockFile(dataPath, os.O_RDWR, false, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		defer old.Close()
	}
	temp, err := os.CreateTemp(dirOf(dataPath), ".restore-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // fails if it got its place
	if _, err := io.Copy(temp, backup); err != nil {
		return errors.Join(err, temp.Close())
	}
	if err := errors.Join(temp.Sync(), verify(temp), temp.Close()); err != nil {
		return fmt.Errorf("copy %s: %w", backupPath, err)
	}
	if old != nil {
		if err := keepBeside(dataPath, ".before-restore-"); err != nil {
			return err
		}
	}
	if err := os.Rename(temp.Name(), dataPath); err != nil {
		return err
	}
	return syncDir(dataPath)
}

// keepBeside gives the file a second name, so that the first can be replaced with no moment in
// between without one. Where the file system has no hard links, it moves the file.
func keepBeside(path, what string) error {
	name, f, err := createBeside(path, what)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Remove(name)); err != nil {
		return err
	}
	if os.Link(path, name) != nil {
		if err := os.Rename(path, name); err != nil {
			return err
		}
	}
	return syncDir(path)
}
