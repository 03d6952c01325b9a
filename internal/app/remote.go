package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tarsd/tarsd/hooks/access"
)

// errNotRunning says that nobody answers at the admin socket.
var errNotRunning = errors.New("no tarsd is running in this data directory")

// remote talks to the tarsd that runs in a data directory.
type remote struct {
	http *http.Client
	dir  *os.File
}

// dialRemote finds out whether a tarsd runs in dir. The error is errNotRunning if none does.
func dialRemote(ctx context.Context, dir string) (*remote, error) {
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var nd net.Dialer
		return nd.DialContext(ctx, "unix", throughFD(d, filepath.Base(adminSocket(dir))))
	}
	r := &remote{dir: d, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
	c, err := dial(ctx, "", "")
	if err == nil {
		return r, c.Close()
	}
	d.Close()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, errNotRunning
	}
	return nil, fmt.Errorf("admin socket %s: %w", adminSocket(dir), err)
}

func (r *remote) Close() error { return r.dir.Close() }

// call sends one request and decodes the answer into out, unless out is nil.
func (r *remote) call(ctx context.Context, method, path string, body io.Reader, out any) error {
	resp, err := r.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("answer of the running tarsd: %w", err)
	}
	return nil
}

// send returns a response of 200; every other one is an error.
func (r *remote) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://tarsd"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running tarsd: %w", errors.Unwrap(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var why refusal
	if err := json.NewDecoder(io.LimitReader(resp.Body, adminBody)).Decode(&why); err != nil || why.Error == "" {
		return nil, fmt.Errorf("the running tarsd answers %s", resp.Status)
	}
	return nil, errors.New(why.Error)
}

func (r *remote) status(ctx context.Context) (Status, error) {
	var s Status
	err := r.call(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

func (r *remote) List(ctx context.Context) ([]access.User, error) {
	var users []access.User
	err := r.call(ctx, http.MethodGet, "/v1/users", nil, &users)
	return users, err
}

func (r *remote) Change(ctx context.Context, c UserChange) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return r.call(ctx, http.MethodPost, "/v1/users", bytes.NewReader(body), nil)
}

func (r *remote) backup(ctx context.Context, w io.Writer) (int64, error) {
	resp, err := r.send(ctx, http.MethodGet, "/v1/backup", nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, resp.Body)
	if err != nil {
		return n, fmt.Errorf("the running tarsd broke off: %w", err)
	}
	return n, nil
}

// restore hands over a backup and waits until the process runs with it.
func (r *remote) restore(ctx context.Context, from io.Reader) error {
	var before Status
	if err := r.call(ctx, http.MethodPost, "/v1/restore", from, &before); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if s, err := r.status(ctx); err == nil && s.ID != before.ID {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the running tarsd took the backup and did not come back; its log says why")
		case <-tick.C:
		}
	}
}
