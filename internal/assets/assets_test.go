package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// world is a repository in a temporary directory, and a package manager that copies an archive.
type world struct {
	root    string
	archive string
	asset   asset
	calls   int
}

func newWorld(t *testing.T, kind, name string, raw []byte) *world {
	t.Helper()
	w := &world{root: t.TempDir(), archive: filepath.Join(t.TempDir(), name)}
	require.NoError(t, os.WriteFile(w.archive, raw, 0o600))
	sum := sha256.Sum256(raw)
	w.asset = asset{
		Engine: "x", archive: archive{Kind: kind, Package: "@a/b", Version: "1.0.0", SHA256: hex.EncodeToString(sum[:])},
		Files: map[string]recipe{"weights": Copy("package/w")},
	}
	return w
}

func (w *world) run(t *testing.T) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := client{command: func(ctx context.Context, _ string, _ ...string) *exec.Cmd {
		w.calls++
		return exec.CommandContext(ctx, "cp", w.archive, ".")
	}}
	err := fetchAll(t.Context(), []asset{w.asset}, w.root, nil, c, &out)
	return out.String(), err
}

func (w *world) path() string { return filepath.Join(w.root, "internal/engine/x/assets/weights") }

func tgz(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(files[i+1]))
		require.NoError(t, err)
	}
	if strings.HasPrefix(files[0], "package/") {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "package/link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}))
	}
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestFetchOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "npm", "a-b-1.0.0.tgz", tgz(t, "package/w", "one", "package/other", "two"))
	out, err := w.run(t)
	require.NoError(t, err)
	assert.Contains(t, out, "@a/b 1.0.0")
	got, err := os.ReadFile(w.path())
	require.NoError(t, err)
	assert.Equal(t, "one", string(got))
	entries, err := os.ReadDir(filepath.Dir(w.path()))
	require.NoError(t, err)
	assert.Len(t, entries, 2, "the file and the stamp")

	out, err = w.run(t)
	require.NoError(t, err)
	assert.Empty(t, out)
	assert.Equal(t, 1, w.calls, "what is there is not fetched again")

	require.NoError(t, os.WriteFile(w.path(), []byte("onf"), 0o600))
	_, err = w.run(t)
	require.NoError(t, err)
	assert.Equal(t, 2, w.calls, "a changed file is made again")

	w.asset.Form++
	_, err = w.run(t)
	require.NoError(t, err)
	assert.Equal(t, 3, w.calls, "another form too")
}

func TestKinds(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	f, err := z.Create("package/w")
	require.NoError(t, err)
	_, err = f.Write([]byte("one"))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	w := newWorld(t, "pypi", "a_b-1.0.0-py3-none-any.whl", b.Bytes())
	_, err = w.run(t)
	require.NoError(t, err)

	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb")
	}
	tree := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "DEBIAN"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "package"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "DEBIAN/control"), []byte("Package: b\nVersion: 1\nArchitecture: all\nMaintainer: t <t@localhost>\nDescription: d\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "package/w"), []byte("one"), 0o600))
	deb := filepath.Join(t.TempDir(), "b.deb")
	require.NoError(t, exec.CommandContext(t.Context(), "dpkg-deb", "--build", "--root-owner-group", tree, deb).Run())
	raw, err := os.ReadFile(deb)
	require.NoError(t, err)
	w = newWorld(t, "deb", "b.deb", raw)
	_, err = w.run(t)
	require.NoError(t, err)
	assert.FileExists(t, w.path())
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		archive []byte
		change  func(*asset)
		want    string
	}{
		"checksum":     {tgz(t, "package/w", "one"), func(a *asset) { a.SHA256 = strings.Repeat("0", 64) }, "the table says"},
		"file is gone": {tgz(t, "package/v", "one"), func(*asset) {}, "package/w"},
		"not gzip":     {[]byte("hello"), func(*asset) {}, "unpack"},
		"way out":      {tgz(t, "../../escape", "one"), func(*asset) {}, "escape"},
		"absolute":     {tgz(t, "/tmp/tarsd-escape", "one"), func(*asset) {}, "escape"},
		"unknown kind": {tgz(t, "package/w", "one"), func(a *asset) { a.Kind = "ftp" }, "unknown kind"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "npm", "a.tgz", c.archive)
			c.change(&w.asset)
			_, err := w.run(t)
			require.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "MISSING x")
			assert.NoFileExists(t, w.path())
		})
	}
}

// TestSeveralArchives: what they hold is in one place, where further files are made of it.
func TestSeveralArchives(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "npm", "a.tgz", tgz(t, "package/w", "one"))
	tool := filepath.Join(t.TempDir(), "b.tgz")
	raw := tgz(t, "tool/run", "two")
	require.NoError(t, os.WriteFile(tool, raw, 0o600))
	sum := sha256.Sum256(raw)
	w.asset.With = []archive{{Kind: "pypi", Package: "tool", Version: "2", SHA256: hex.EncodeToString(sum[:])}}
	w.asset.Files["weights"] = Copy("made")
	w.asset.Prepare = func(_ context.Context, dir string) error {
		one, err := os.ReadFile(filepath.Join(dir, "package", "w"))
		if err != nil {
			return err
		}
		two, err := os.ReadFile(filepath.Join(dir, "tool", "run"))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "made"), append(one, two...), 0o600)
	}
	calls := 0
	c := client{command: func(ctx context.Context, name string, _ ...string) *exec.Cmd {
		calls++
		if name == "npm" {
			return exec.CommandContext(ctx, "cp", w.archive, ".")
		}
		return exec.CommandContext(ctx, "cp", tool, ".")
	}}
	run := func() error { return fetchAll(t.Context(), []asset{w.asset}, w.root, nil, c, new(bytes.Buffer)) }
	require.NoError(t, run())
	got, err := os.ReadFile(w.path())
	require.NoError(t, err)
	assert.Equal(t, "onetwo", string(got))
	require.NoError(t, run())
	assert.Equal(t, 2, calls, "what is there is not fetched again")

	w.asset.With[0].SHA256 = strings.Repeat("0", 64)
	require.ErrorContains(t, run(), "pypi tool 2: the archive has sha256")
	calls = 0
	w.asset.With[0].SHA256 = ""
	require.ErrorContains(t, run(), "there is no pypi tool 2 for linux/")
	assert.Zero(t, calls, "nothing is fetched when something cannot be had")

	w.asset.With[0].SHA256 = hex.EncodeToString(sum[:])
	w.asset.Form++
	w.asset.Prepare = func(context.Context, string) error { return os.ErrPermission }
	require.ErrorIs(t, run(), os.ErrPermission)
}

// TestSourceIsNotBuilt has Python ask the stand-in what pip asks a package's build system.
func TestSourceIsNotBuilt(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3")
	}
	dir := t.TempDir()
	path, err := archive{Package: "thing", Version: "1.2", Backend: "some.build"}.standIn(dir)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), python, "-c", "import some.build as b; b.get_requires_for_build_wheel(); print(b.prepare_metadata_for_build_wheel('.'))")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "PYTHONPATH="+path)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	info := strings.TrimSpace(string(out))
	assert.Equal(t, "thing-1.2.dist-info", info)
	metadata, err := os.ReadFile(filepath.Join(dir, info, "METADATA"))
	require.NoError(t, err)
	assert.Contains(t, string(metadata), "Name: thing\nVersion: 1.2\n")
}

// TestSourceIsCheckedFirst has pip fetch a source distribution that is not the one of the table, and wants
// code of its own to be run.
func TestSourceIsCheckedFirst(t *testing.T) {
	if exec.Command("python3", "-m", "pip", "--version").Run() != nil {
		t.Skip("no pip")
	}
	dir, marker := t.TempDir(), filepath.Join(t.TempDir(), "it-ran")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "thing-1.2.tar.gz"), tgz(t,
		"thing-1.2/PKG-INFO", "Metadata-Version: 2.1\nName: thing\nVersion: 1.2\n",
		"thing-1.2/pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = \"evil\"\nbackend-path = [\".\"]\n",
		"thing-1.2/evil.py", "open("+strconv.Quote(marker)+", \"w\")\n"), 0o600))
	t.Setenv("PIP_NO_INDEX", "1")
	t.Setenv("PIP_FIND_LINKS", dir)
	a := archive{Kind: "pypi-source", Package: "thing", Version: "1.2", SHA256: strings.Repeat("0", 64), Backend: "some.build"}
	_, err := client{}.fetch(t.Context(), a, t.TempDir())
	assert.NoFileExists(t, marker)
	require.ErrorContains(t, err, "Got ") // the sum that it has; pip says so in its last line
}

func TestClientFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "npm", "a.tgz", tgz(t, "package/w", "one"))
	c := client{command: func(ctx context.Context, _ string, _ ...string) *exec.Cmd {
		return exec.CommandContext(ctx, "sh", "-c", "echo first; echo no network >&2; exit 1")
	}}
	err := fetchAll(t.Context(), []asset{w.asset}, w.root, nil, c, new(bytes.Buffer))
	require.ErrorContains(t, err, "no network")
	require.ErrorContains(t, err, "npm pack")
}

// TestTable: every row can be carried out.
func TestTable(t *testing.T) {
	t.Parallel()
	for _, a := range table() {
		for _, p := range append([]archive{a.archive}, a.With...) {
			assert.Len(t, p.SHA256, 64, p)
		}
		assert.NotEmpty(t, a.Files, a)
		assert.NotEmpty(t, a.Licence, a)
		assert.DirExists(t, filepath.Join("..", "engine", a.Engine, "assets"), "a committed file keeps it there, so that a bare checkout builds")
	}
}
