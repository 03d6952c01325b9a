package app

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/access"
)

func TestOverview(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir()))
	nc := dialTCP(t, a)
	require.Equal(t, byte(0), connect(t, nc, "kettle", "", ""))
	many := shownFilters + 10
	subscribe := []byte{0, 1}
	for i := range many {
		subscribe = append(subscribe, 0, 4, 'k', '/', byte('0'+i/10), byte('0'+i%10), 0)
	}
	_, err := nc.Write(append([]byte{0x82, byte(len(subscribe)%128 + 128), byte(len(subscribe) / 128)}, subscribe...))
	require.NoError(t, err)
	_, err = io.ReadFull(nc, make([]byte, 4+many))
	require.NoError(t, err)
	resp, err := http.Get("http://" + a.HTTP() + "/api/v1/overview")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	var o Overview
	d := json.NewDecoder(resp.Body)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&o))
	assert.Equal(t, "test", o.Version)
	assert.Equal(t, "ok", o.Health)
	i := 0
	for i < len(o.Clients) && o.Clients[i].ID != "kettle" {
		i++
	}
	require.Less(t, i, len(o.Clients))
	assert.True(t, o.Clients[i].Connected)
	assert.Len(t, o.Clients[i].Subscriptions, shownFilters)
	assert.Equal(t, many, o.Clients[i].Filters)
	assert.Contains(t, o.Clients[i].Address, "127.0.0.1:")
	assert.Equal(t, []string{"admin"}, o.Clients[i].Roles)
	assert.Equal(t, len(o.Clients), o.ClientCount)
	assert.Greater(t, o.Machine.ResidentBytes, uint64(1<<20))
	assert.Greater(t, o.Machine.DiskTotal, o.Machine.DiskFree)
	assert.Greater(t, o.Machine.MemoryTotal, o.Machine.MemoryFree)
	assert.Positive(t, o.Machine.Processors)
}

func TestOverviewIsNotForEverybody(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir(), "access.anonymous=false"))
	ask := func(user string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.HTTP()+"/api/v1/overview", nil)
		require.NoError(t, err)
		if user != "" {
			require.NoError(t, a.users.Update(t.Context(), user, access.Change{Password: []byte("right"), Roles: []string{user}}))
			r.SetBasicAuth(user, "right")
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	assert.Equal(t, 401, ask(""))
	assert.Equal(t, 403, ask(access.RoleDevice))
	assert.Equal(t, 200, ask(access.RoleViewer))
}
