package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// RemoteOptions configure NewRemote.
type RemoteOptions struct {
	URL     string                 // base, such as http://localhost:11434/v1
	Model   string                 // its name there
	Key     func() (string, error) // of the Authorization header; nil or "" for none
	Timeout time.Duration          // of one request
}

// Remote is an embedder behind the OpenAI-style HTTP interface /embeddings, which Ollama, llama.cpp
// and many others have.
type Remote struct {
	o      RemoteOptions
	client *http.Client
}

var _ Embedder = (*Remote)(nil)

// NewRemote makes an embedder of a server. Nothing is asked yet.
func NewRemote(o RemoteOptions) (*Remote, error) {
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the embedder's url is not of the form http://HOST:PORT/v1")
	}
	if o.Model == "" {
		return nil, errors.New("the embedder's model is missing")
	}
	o.URL = strings.TrimSuffix(o.URL, "/")
	refuse := func(*http.Request, []*http.Request) error { return errors.New("it sends us elsewhere") } // with the key
	return &Remote{o: o, client: &http.Client{Timeout: o.Timeout, CheckRedirect: refuse}}, nil
}

// ID implements Embedder. Vectors of the same model from elsewhere are the same.
func (r *Remote) ID() string { return "openai/" + r.o.Model }

const (
	maxAnswer = 16 << 20 // bytes of an answer
	maxDim    = 8192     // numbers of a vector
)

// Embed implements Embedder.
func (r *Remote) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	body, err := json.Marshal(map[string]any{"model": r.o.Model, "input": texts, "encoding_format": "float"})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.o.URL+"/embeddings", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("embedder: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.o.Key != nil {
		key, err := r.o.Key()
		if err != nil {
			return nil, fmt.Errorf("embedder's key: %w", err)
		}
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		}
	}
	res, err := r.client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err // without the URL, which may hold a password
		}
		return nil, fmt.Errorf("embedder: %w", err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("embedder: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("embedder: %s: %.200s", res.Status, bytes.TrimSpace(raw))
	}
	if len(raw) > maxAnswer {
		return nil, fmt.Errorf("embedder: the answer is larger than %d bytes", maxAnswer)
	}
	return parseEmbeddings(raw, len(texts))
}

// parseEmbeddings reads an answer for n texts. The vectors may come in any order.
func parseEmbeddings(raw []byte, n int) ([][]float32, error) {
	var doc struct {
		Data []struct {
			Index     *int
			Embedding []float32
		}
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("embedder: %w", err)
	}
	out := make([][]float32, n)
	for i, d := range doc.Data {
		at := i
		if d.Index != nil {
			at = *d.Index
		}
		if at < 0 || at >= n || out[at] != nil {
			return nil, fmt.Errorf("embedder: a vector for text %d of %d", at, n)
		}
		if len(d.Embedding) == 0 || len(d.Embedding) > maxDim {
			return nil, fmt.Errorf("embedder: a vector of %d numbers", len(d.Embedding))
		}
		out[at] = d.Embedding
	}
	if slices.ContainsFunc(out, func(v []float32) bool { return v == nil }) {
		return nil, fmt.Errorf("embedder: %d vectors for %d texts", len(doc.Data), n)
	}
	return out, nil
}
