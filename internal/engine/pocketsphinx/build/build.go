// Package build makes what the recogniser builds in, of the source distribution of PocketSphinx:
// the program, compiled to WebAssembly, and a small language model. Only `make assets` uses it.
package build

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// glue is our own C, and headers for what WebAssembly has not.
//
//go:embed glue
var glue embed.FS

// compileTime bounds the compiler, which takes a quarter of a minute of one core, and as
// much again for the C library; on a busy board that is long.
const compileTime = 20 * time.Minute

// MaxMemory is what the program may use, in bytes. With the small model it takes 34 MB, and what it takes for an
// utterance grows with its length and noise: half a minute in noise at 10 dB, which is the most, took 64 MB and failed.
const MaxMemory = 192 << 20

// Program compiles the source distribution in the directory source to the file out. zig is the
// compiler. Paths are relative, so that the bytes do not depend on where it runs.
func Program(ctx context.Context, zig, source, out string) (err error) {
	zig, err = filepath.Abs(zig)
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	if err := os.CopyFS(source, glue); err != nil {
		return err
	}
	files, err := sources(os.DirFS(source))
	if err != nil {
		return err
	}
	cache, err := os.MkdirTemp("", "tarsd-zig-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
	ctx, cancel := context.WithTimeout(ctx, compileTime)
	defer cancel()
	args := []string{
		"cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-O3", "-msimd128", "-g0", "-w", "-fno-sanitize=undefined",
		"-DNDEBUG", "-DHAVE_CONFIG_H", "-D_WASI_EMULATED_PROCESS_CLOCKS",
		"-Iglue/system", "-Iglue", "-Isrc", "-Iinclude",
		"-Wl,-z,stack-size=1048576", fmt.Sprintf("-Wl,--max-memory=%d", MaxMemory), "-Wl,--gc-sections", "-Wl,--strip-all",
		"-o", out, "-lwasi-emulated-process-clocks",
	}
	cmd := exec.CommandContext(ctx, zig, append(args, files...)...)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "ZIG_GLOBAL_CACHE_DIR="+cache, "ZIG_LOCAL_CACHE_DIR="+cache)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("zig cc: %w: %.2000s", err, said.String())
	}
	return nil
}

// sources are the C files of the library, as upstream's CMake lists them, and ours. One of them
// maps files into memory, which there is not, and is replaced.
func sources(source fs.FS) ([]string, error) {
	list, err := fs.ReadFile(source, "src/CMakeLists.txt")
	if err != nil {
		return nil, err
	}
	_, rest, found := strings.Cut(string(list), "add_library(pocketsphinx")
	names, _, whole := strings.Cut(rest, ")")
	if !found || !whole {
		return nil, errors.New("src/CMakeLists.txt: no add_library(pocketsphinx ...)")
	}
	files := []string{"glue/glue.c", "glue/mmio.c"}
	for name := range strings.FieldsSeq(names) {
		if strings.HasSuffix(name, ".c") && name != "util/mmio.c" {
			files = append(files, "src/"+name)
		}
	}
	return files, nil
}
