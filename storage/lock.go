package storage

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockPoll is how often a lock that another process holds is tried again.
const lockPoll = 20 * time.Millisecond

// lockFile opens a file with flag and locks it, exclusively unless shared. It waits up to
// timeout. The file is the one that path names when the lock is there, and not one that was
// moved aside meanwhile. The error wraps ErrLocked, or is that of the system.
func lockFile(path string, flag int, shared bool, timeout time.Duration) (*os.File, error) {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for deadline := time.Now().Add(timeout); ; {
		f, err := os.OpenFile(path, flag, 0o600)
		if err != nil {
			return nil, err
		}
		err = flock(f, how, deadline)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		same, err := sameFile(f, path)
		if err == nil && same {
			return f, nil
		}
		if cerr := f.Close(); err != nil || cerr != nil {
			return nil, errors.Join(err, cerr)
		}
	}
}

// flock locks f, at the latest at the deadline.
func flock(f *os.File, how int, deadline time.Time) error {
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		case !time.Now().Add(lockPoll).Before(deadline):
			return fmt.Errorf("%s: %w (%s); stop that one first, or use another data directory", f.Name(), ErrLocked, holder(f))
		}
		time.Sleep(lockPoll)
	}
}

// sameFile reports whether path still names f.
func sameFile(f *os.File, path string) (bool, error) {
	have, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(have, named), err
}

// holder tells for people which process has f locked, as far as the kernel tells.
func holder(f *os.File) string {
	const unknown = "probably a tarsd that runs already"
	info, err := f.Stat()
	if err != nil {
		return unknown
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return unknown
	}
	locks, err := os.Open("/proc/locks")
	if err != nil {
		return unknown
	}
	defer locks.Close()
	for s := bufio.NewScanner(locks); s.Scan(); {
		if pid, inode := parseLock(s.Text()); pid > 0 && inode == st.Ino {
			name, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
			if err != nil {
				return fmt.Sprintf("process %d", pid)
			}
			return fmt.Sprintf("%s, process %d", strings.TrimSpace(string(name)), pid)
		}
	}
	return unknown
}

// parseLock reads a line of /proc/locks, "1: FLOCK ADVISORY WRITE 123 fe:00:456 0 EOF". The device
// is left out: file systems in layers report another one to stat.
func parseLock(line string) (pid int, inode uint64) {
	f := strings.Fields(line)
	if len(f) < 6 || f[1] != "FLOCK" {
		return 0, 0
	}
	_, ino, ok := strings.Cut(f[5][strings.IndexByte(f[5], ':')+1:], ":")
	if !ok {
		return 0, 0
	}
	pid, err := strconv.Atoi(f[4])
	inode, err2 := strconv.ParseUint(ino, 10, 64)
	if err != nil || err2 != nil {
		return 0, 0
	}
	return pid, inode
}

func dirOf(path string) string { return filepath.Dir(path) }

// syncDir makes names that were created, moved or removed in the directory of path last.
func syncDir(path string) error {
	dir, err := os.Open(dirOf(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	// Some file systems cannot sync a directory, and need not.
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return err
	}
	return nil
}
