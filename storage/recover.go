package storage

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// opened is a locked and checked file.
type opened struct {
	f     *os.File
	fresh bool    // it is empty
	moved string  // where the damaged one is now, or a copy of it
	fix   *ledger // what the ledger has to be set to, or nil
}

// openFile opens, locks and checks the file. Of one that is damaged it uses the last intact
// state, or else what is readable if that is whole pages that are too old, or else moves it
// aside and begins a fresh one.
func openFile(o Options) (out opened, err error) {
	f, err := lockFile(o.Path, os.O_RDWR|os.O_CREATE, false, o.LockTimeout)
	if err != nil {
		return out, fmt.Errorf("open data file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = syncDir(o.Path)
	}
	if err != nil {
		return out, fmt.Errorf("open data file: %w", err)
	}
	out.f, out.fresh = f, info.Size() == 0
	if out.fresh {
		return out, nil
	}
	began := time.Now()
	damage := out.examine(info.Size(), o)
	if damage == nil {
		o.Log.Debug().Int64("bytes", info.Size()).Dur("took", time.Since(began)).Msg("data file checked")
		return out, nil
	}
	if !errors.Is(damage, ErrDamaged) {
		return out, fmt.Errorf("open data file %s: %w", o.Path, damage)
	}
	fresh, moved, err := setAside(f, o)
	if err != nil {
		return out, err
	}
	o.Log.Error().Err(damage).Str("moved", moved).Msg("data file was damaged: starting with a fresh one")
	return opened{f: fresh, fresh: true, moved: moved}, nil
}

// examine checks the file, of size bytes. A disk that wrote a commit's meta page and not all of
// the pages before it leaves damage, or pages of an older state: then the state before that
// commit is good, unless this happened longer ago. What was there is copied before anything is
// changed. The error wraps ErrDamaged if nothing can be used.
func (out *opened) examine(size int64, o Options) error {
	metas, err := findMetas(out.f, size)
	if err != nil {
		return err
	}
	// Most of the file is read now, and again when it is loaded.
	_ = unix.Fadvise(int(out.f.Fd()), 0, 0, unix.FADV_WILLNEED)
	c, damage := checkTree(out.f, size, metas[0])
	if damage == nil && (c.schema > len(migrations) || !c.old()) {
		return nil
	}
	if damage != nil && !errors.Is(damage, ErrDamaged) {
		return damage
	}
	back := false
	if len(metas) == 2 && metas[1].tx+1 == metas[0].tx {
		before, err := checkTree(out.f, size, metas[1])
		back = err == nil && before.schema > 0 && !before.old() // the schema: not before there was anything
	}
	if !back && damage != nil {
		return damage
	}
	if out.moved, err = copyBeside(out.f, size, o.Path, ".damaged-"); err != nil {
		return fmt.Errorf("keep a copy of the damaged file: %w", err)
	}
	if !back {
		o.Log.Error().Str("copy", out.moved).Msg("data file was damaged: records are missing or of an older state")
		out.fix = &c.counted
		return nil
	}
	if _, err = out.f.WriteAt(make([]byte, headBytes+metaBytes), metas[0].page); err == nil {
		err = out.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("go back to the last intact state: %w", err)
	}
	o.Log.Error().AnErr("error", damage).Str("copy", out.moved).Msg("data file was damaged: the last commit is lost")
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

// copyBeside makes a copy of f that is named after path, what, and the time.
func copyBeside(f *os.File, size int64, path, what string) (string, error) {
	name, to, err := createBeside(path, what)
	if err != nil {
		return "", err
	}
	if _, err = io.Copy(to, io.NewSectionReader(f, 0, size)); err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return "", errors.Join(err, os.Remove(name))
	}
	return name, syncDir(path)
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
	case c.old():
		return fmt.Errorf("%w: records are missing or of an older state", ErrDamaged)
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
