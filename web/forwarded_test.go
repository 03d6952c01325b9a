package web

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A client behind a reverse proxy on this machine is not local, but the proxy's Host is checked.
func TestLocalBehindAProxy(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.RemoteAddr = "127.0.0.1:1234"
	assert.True(t, local(r))
	r.Header.Set("X-Forwarded-For", "203.0.113.9")
	assert.False(t, local(r))
	assert.True(t, localSocket(r))
}
