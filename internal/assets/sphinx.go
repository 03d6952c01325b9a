package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tarsd/tarsd/internal/engine/pocketsphinx/build"
)

// sphinxVersion is in the name of the directory that the archive holds.
const (
	sphinxVersion = "5.1.1"
	sphinxSource  = "pocketsphinx-" + sphinxVersion
	sphinxMade    = "made"
)

// compiler is the C compiler of PyPI, for this machine, with a C library for WebAssembly.
func compiler() archive {
	sums := map[string]string{
		"linux/amd64": "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54",
		"linux/arm64": "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
	}
	return archive{Kind: "pypi", Package: "ziglang", Version: "0.17.1", SHA256: sums[runtime.GOOS+"/"+runtime.GOARCH]}
}

// makeSphinx compiles the recogniser and makes its small language model.
func makeSphinx(ctx context.Context, dir string) error {
	source, made := filepath.Join(dir, sphinxSource), filepath.Join(dir, sphinxMade)
	zig, program := filepath.Join(dir, "ziglang", "zig"), filepath.Join(made, "pocketsphinx.wasm")
	if err := errors.Join(os.Mkdir(made, 0o755), os.Chmod(zig, 0o755)); err != nil {
		return err
	}
	if err := build.Program(ctx, zig, source, program); err != nil {
		return err
	}
	code, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	lm, err := os.ReadFile(filepath.Join(source, "model/en-us/en-us.lm.bin"))
	if err != nil {
		return err
	}
	dictionary, err := os.ReadFile(filepath.Join(source, "model/en-us/cmudict-en-us.dict"))
	if err != nil {
		return err
	}
	small, words, err := build.Model(ctx, code, lm, dictionary)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(made, "lm.bin"), small, 0o600),
		os.WriteFile(filepath.Join(made, "words.dict"), words, 0o600),
	)
}
