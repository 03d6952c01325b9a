package memory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// server is a scripted embedding server.
func server(t *testing.T, h http.HandlerFunc) *Remote {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	r, err := NewRemote(RemoteOptions{URL: s.URL + "/v1/", Model: "m", Timeout: 5 * time.Second, Key: func() (string, error) { return "secret", nil }})
	require.NoError(t, err)
	return r
}

func TestRemote(t *testing.T) {
	t.Parallel()
	r := server(t, func(w http.ResponseWriter, req *http.Request) {
		var body struct {
			Model string
			Input []string
		}
		assert.NoError(t, json.NewDecoder(req.Body).Decode(&body))
		assert.Equal(t, "m", body.Model)
		assert.Equal(t, []string{"a", "b"}, body.Input)
		assert.Equal(t, "Bearer secret", req.Header.Get("Authorization"))
		assert.Equal(t, "/v1/embeddings", req.URL.Path)
		fmt.Fprint(w, `{"object":"list","data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}],"model":"m"}`)
	})
	got, err := r.Embed(t.Context(), []string{"a", "b"})
	require.NoError(t, err)
	assert.Equal(t, [][]float32{{1, 2}, {3, 4}}, got)
	assert.Equal(t, "openai/m", r.ID())
}

func TestRemoteFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"status":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "slow down", http.StatusTooManyRequests) }, "429 Too Many Requests: slow down"},
		"no json": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, "invalid character"},
		"too few": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[]}`) }, "0 vectors for 1"},
		"too many": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"data":[{"embedding":[1]},{"embedding":[1]}]}`)
		}, "text 1 of 1"},
		"twice": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}`)
		}, "text 0 of 1"},
		"empty": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"embedding":[]}]}`) }, "0 numbers"},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, "elsewhere"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"data"`)
		}, "unexpected EOF"},
		"endless": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", maxAnswer+2)) }, "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := server(t, c.h).Embed(t.Context(), []string{"a"})
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "secret")
		})
	}
	slow := server(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the end of the client is not seen before
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, err := slow.Embed(ctx, []string{"a"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	noKey, err := NewRemote(RemoteOptions{URL: "http://127.0.0.1:1", Model: "m", Key: func() (string, error) { return "", errors.New("no such file") }})
	require.NoError(t, err)
	_, err = noKey.Embed(t.Context(), []string{"a"})
	require.ErrorContains(t, err, "no such file")
	for _, o := range []RemoteOptions{{URL: "ftp://x", Model: "m"}, {URL: "http://", Model: "m"}, {URL: "http://x"}} {
		_, err := NewRemote(o)
		require.Error(t, err)
	}
}

func FuzzParseEmbeddings(f *testing.F) {
	f.Add([]byte(`{"data":[{"index":1,"embedding":[3,4]},{"index":0,"embedding":[1,2]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := parseEmbeddings(b, 2)
		if err == nil && (len(out) != 2 || len(out[0]) == 0 || len(out[1]) == 0) {
			t.Fatal(out)
		}
	})
}

// counting counts calls.
type counting struct {
	fakeEmbedder
	calls atomic.Int64
}

func (c *counting) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	c.calls.Add(1)
	return c.fakeEmbedder.Embed(ctx, texts)
}

// TestVectorsInTheBackground: a failing embedder is asked ever more seldom, and no question waits
// for it; when it works again everything gets its vector.
func TestVectorsInTheBackground(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBook(t, nil)
		for i := range 20 {
			put(t, b, record{role: roleUser, text: fmt.Sprintf("text %d", i), ts: 1.76e9 + float64(i)})
		}
		e := &counting{fakeEmbedder: fakeEmbedder{id: "fake", fail: errors.New("down")}}
		var told []error
		v := newVectors(e, b, zerolog.Nop(), func(err error) { told = append(told, err) })
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { v.work(ctx); close(done) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Less(t, e.calls.Load(), int64(70), "about once a minute")
		require.Len(t, told, 1)
		n := e.calls.Load()
		v.query(ctx, "something")
		v.query(ctx, "something else")
		assert.Equal(t, n+1, e.calls.Load(), "after a failure it rests")

		e.setFail(nil)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		_, vectors := b.counts()
		assert.Equal(t, 20, vectors)
		assert.Equal(t, 0, len(b.missing(10)))
		require.Len(t, told, 2)
		require.NoError(t, told[1])

		put(t, b, record{role: roleUser, text: "one more", ts: 1.77e9})
		v.more()
		synctest.Wait()
		_, vectors = b.counts()
		assert.Equal(t, 21, vectors)
		n = e.calls.Load()
		assert.NotNil(t, v.query(ctx, "One more?"), "what was just said has its vector")
		assert.Equal(t, n, e.calls.Load())
		cancel()
		<-done
	})
}

// TestOtherLength: vectors of another length cannot be compared; that is an error and no loop.
func TestOtherLength(t *testing.T) {
	t.Parallel()
	b := withVectors(t, "one")
	id := put(t, b, record{role: roleUser, text: "two", ts: 1.77e9})
	require.ErrorIs(t, b.setVectors([]uint64{id}, [][]float32{{1, 2}}), errVector)
	require.NoError(t, b.setVectors([]uint64{1}, [][]float32{{1, 2}}), "forgotten meanwhile")
	require.NoError(t, b.setVectors([]uint64{id}, [][]float32{make([]float32, fakeDim)}), "a text without a direction")
	assert.Empty(t, b.missing(5))
}
