package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// firstLoad is how many compressed bytes the page may take to be shown, in bytes.
const firstLoad = 250 << 10

func zipped(t *testing.T, text string) *fstest.MapFile {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return &fstest.MapFile{Data: b.Bytes()}
}

func TestPage(t *testing.T) {
	t.Parallel()
	p, err := newPage(fstest.MapFS{
		"index.html.gz":         zipped(t, "<title>page</title>"),
		"assets/app-1a2b.js.gz": zipped(t, "let a"),
		"icon.png":              {Data: []byte("png")},
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	p.routes(mux)
	etag := p["/{$}"].etag
	for _, c := range []struct {
		name, method, path, accept, match string
		code                              int
		encoding, kind, cache, body       string
	}{
		{"packed", "GET", "/", "gzip, br", "", 200, "gzip", "text/html; charset=utf-8", "no-cache", "<title>page</title>"},
		{"any encoding", "GET", "/", "*", "", 200, "gzip", "text/html; charset=utf-8", "no-cache", "<title>page</title>"},
		{"plain", "GET", "/", "br", "", 200, "", "text/html; charset=utf-8", "no-cache", "<title>page</title>"},
		{"refused encoding", "GET", "/", "gzip;q=0", "", 200, "", "text/html; charset=utf-8", "no-cache", "<title>page</title>"},
		{"nonsense", "GET", "/", "gzip;q=x", "", 200, "", "text/html; charset=utf-8", "no-cache", "<title>page</title>"},
		{"hashed name", "GET", "/assets/app-1a2b.js", "gzip", "", 200, "gzip", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable", "let a"},
		{"not packed", "GET", "/icon.png", "gzip", "", 200, "", "image/png", "no-cache", "png"},
		{"head", "HEAD", "/", "gzip", "", 200, "gzip", "text/html; charset=utf-8", "no-cache", ""},
		{"known", "GET", "/", "gzip", `"x", W/` + etag, 304, "", "", "no-cache", ""},
		{"known otherwise", "GET", "/", "gzip", `"x"`, 200, "gzip", "text/html; charset=utf-8", "no-cache", "<title>page</title>"},
		{"its own name", "GET", "/index.html", "gzip", "", 404, "", "text/plain; charset=utf-8", "", "404 page not found\n"},
		{"climbing", "GET", "/assets/..%2findex.html", "gzip", "", 404, "", "text/plain; charset=utf-8", "", "404 page not found\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("Accept-Encoding", c.accept)
			r.Header.Set("If-None-Match", c.match)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			assert.Equal(t, c.code, w.Code)
			assert.Equal(t, c.encoding, w.Header().Get("Content-Encoding"))
			assert.Equal(t, c.kind, w.Header().Get("Content-Type"))
			assert.Equal(t, c.cache, w.Header().Get("Cache-Control"))
			body := w.Body.Bytes()
			if c.encoding == "gzip" && len(body) > 0 {
				assert.Equal(t, "Accept-Encoding", w.Header().Get("Vary"))
				plain, err := gzip.NewReader(bytes.NewReader(body))
				require.NoError(t, err)
				body, err = io.ReadAll(plain)
				require.NoError(t, err)
			}
			assert.Equal(t, c.body, string(body))
		})
	}
}

func TestPageRefuses(t *testing.T) {
	t.Parallel()
	_, err := newPage(fstest.MapFS{"index.html": {}, "a.exe": {}})
	require.ErrorContains(t, err, "a.exe")
	_, err = newPage(fstest.MapFS{"a.css": {}})
	require.ErrorContains(t, err, "no index.html")
}

// TestFirstLoad adds up what a browser fetches before it shows the page: index.html and what it names.
func TestFirstLoad(t *testing.T) {
	t.Parallel()
	dir, err := fs.Sub(built, "dist/page")
	require.NoError(t, err)
	index, err := dir.Open("index.html" + packed)
	if err != nil {
		t.Skip("the page is not built: make ui")
	}
	plain, err := gzip.NewReader(index)
	require.NoError(t, err)
	html, err := io.ReadAll(plain)
	require.NoError(t, err)
	sum := int64(0)
	names := regexp.MustCompile(`(?:src|href)="/([^"]+\.(?:js|css|svg|webmanifest))"`).FindAllStringSubmatch(string(html), -1)
	require.NotEmpty(t, names)
	for _, name := range append(names, []string{"", "index.html"}) {
		info, err := fs.Stat(dir, name[1]+packed)
		require.NoError(t, err)
		sum += info.Size()
	}
	t.Logf("first load: %d bytes compressed, of %d", sum, firstLoad)
	assert.LessOrEqual(t, sum, int64(firstLoad))
	assert.NotContains(t, string(html), "//", "a resource from elsewhere")
	assert.NotRegexp(t, `<script>|style="|\son\w+=`, string(html), "the content policy forbids it")
}

func TestStub(t *testing.T) {
	t.Parallel()
	stub, err := fs.Sub(built, "stub")
	require.NoError(t, err)
	p, err := newPage(stub)
	require.NoError(t, err)
	assert.True(t, strings.Contains(string(p["/{$}"].body), "make ui"))
}
