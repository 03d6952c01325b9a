package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// The page as `make ui` builds it, text compressed with gzip, and what is shown without a build.
//
//go:embed stub dist
var built embed.FS

// Browsers decode brotli from https only, and the robot is spoken to over http: gzip is for both.
const packed = ".gz"

// kinds are the files of a page by the ends of their names. The system's table differs between machines.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json",
}

// pageFiles is the built page, or the stub when there is none.
func pageFiles() (fs.FS, error) {
	if _, err := fs.Stat(built, "dist/page/index.html"+packed); errors.Is(err, fs.ErrNotExist) {
		return fs.Sub(built, "stub")
	}
	return fs.Sub(built, "dist/page")
}

// page is files by their paths; "/{$}" is index.html.
type page map[string]*pageFile

type pageFile struct {
	kind, etag, cache string
	packed            bool // with gzip
	body              []byte
}

// newPage reads all files of a page. It fails for a file whose kind is not known.
func newPage(files fs.FS) (page, error) {
	p := page{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		plain, isPacked := strings.CutSuffix(name, packed)
		f := &pageFile{kind: kinds[path.Ext(plain)], packed: isPacked, body: body, cache: "no-cache"}
		if f.kind == "" {
			return fmt.Errorf("file %s: no known kind", name)
		}
		sum := sha256.Sum256(body)
		f.etag = `"` + hex.EncodeToString(sum[:12]) + `"`
		if strings.HasPrefix(plain, "assets/") { // their names have a hash of what is in them
			f.cache = "public, max-age=31536000, immutable"
		}
		p["/"+plain] = f
		return nil
	})
	if err != nil {
		return nil, err
	}
	if p["/index.html"] == nil {
		return nil, errors.New("no index.html")
	}
	p["/{$}"] = p["/index.html"]
	delete(p, "/index.html")
	return p, nil
}

// routes adds the files.
func (p page) routes(mux *http.ServeMux) {
	for path, f := range p {
		mux.Handle("GET "+path, f)
	}
}

// ServeHTTP implements http.Handler.
func (f *pageFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", f.cache)
	h.Set("Etag", f.etag)
	h.Set("Vary", "Accept-Encoding")
	if holds(r.Header.Get("If-None-Match"), f.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	var body io.Reader = bytes.NewReader(f.body)
	switch {
	case !f.packed:
		h.Set("Content-Length", strconv.Itoa(len(f.body)))
	case acceptsGzip(r.Header.Values("Accept-Encoding")):
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Length", strconv.Itoa(len(f.body)))
	default:
		plain, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, "damaged page", http.StatusInternalServerError)
			return
		}
		body = plain
	}
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.Copy(w, body) // fails only when the peer has gone
}

// holds reports whether a list of etags has this one.
func holds(list, etag string) bool {
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == etag || one == "*" {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3).
func acceptsGzip(lines []string) bool {
	for one := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name, rest, _ := strings.Cut(one, ";")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "gzip" && name != "*" {
			continue
		}
		q, found := strings.CutPrefix(strings.ReplaceAll(rest, " ", ""), "q=")
		if !found {
			return true
		}
		weight, err := strconv.ParseFloat(q, 64)
		return err == nil && weight > 0
	}
	return false
}
