package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"strings"
)

// Bounds of what an archive may hold.
const (
	maxUnpacked = 512 << 20
	maxFiles    = 50_000
)

// unpack writes the regular files of an archive below dir, whatever its entries are called: os.Root
// lets none of them out. Links are left out.
func (a archive) unpack(ctx context.Context, archive, dir string) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	w := &writer{root: root, room: maxUnpacked}
	switch {
	case a.Kind == "deb":
		return w.deb(ctx, archive)
	case strings.HasSuffix(archive, ".whl"), strings.HasSuffix(archive, ".zip"):
		return w.zip(archive)
	}
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return w.tar(z)
}

// writer writes files below a directory, up to a number and a size.
type writer struct {
	root  *os.Root
	room  int64
	files int
}

func (w *writer) put(name string, r io.Reader) (err error) {
	if w.files++; w.files > maxFiles {
		return fmt.Errorf("more than %d files", maxFiles)
	}
	name = path.Clean(strings.TrimPrefix(name, "./"))
	if err := w.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := w.root.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	n, err := io.Copy(f, io.LimitReader(r, w.room+1))
	if w.room -= n; w.room < 0 {
		return fmt.Errorf("more than %d bytes", int64(maxUnpacked))
	}
	return err
}

func (w *writer) tar(r io.Reader) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			if err := w.put(h.Name, t); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
	}
}

func (w *writer) zip(archive string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer z.Close()
	for _, f := range z.File {
		if !f.Mode().IsRegular() {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		if err := errors.Join(w.put(f.Name, r), r.Close()); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	return nil
}

// deb lets dpkg-deb take the outer layers off, whose compression changes with the distribution.
func (w *writer) deb(ctx context.Context, archive string) error {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", archive)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = w.tar(out)
	if err != nil {
		_ = cmd.Process.Kill()
	}
	return errors.Join(err, cmd.Wait())
}
