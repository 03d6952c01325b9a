package access

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// TestBuiltinRoles is the table role x action x topic. In the columns: p may publish, s may
// subscribe, - neither.
func TestBuiltinRoles(t *testing.T) {
	t.Parallel()
	roles := []string{RoleService, RoleDevice, RolePage, RoleViewer, RoleAdmin}
	cases := []struct{ filter, service, device, page, viewer, admin string }{
		{"movement/test", "ps", "s", "ps", "s", "ps"},
		{"movement/stop", "ps", "s", "ps", "s", "ps"},
		{"movement/frame", "ps", "s", "s", "s", "ps"},
		{"movement/command", "ps", "-", "ps", "s", "ps"},
		{"movement/state", "ps", "p", "s", "s", "ps"},
		{"movement/status", "ps", "p", "s", "s", "ps"},
		{"movement/#", "s", "-", "s", "s", "s"},
		{"system/health/movement-esp32", "ps", "p", "s", "s", "ps"},
		{"system/health/anna", "ps", "p", "s", "s", "ps"},
		{"system/health/stt", "ps", "-", "s", "s", "ps"},
		{"system/health/the-id", "ps", "-", "s", "s", "ps"},
		{"system/keepalive/anna", "ps", "p", "s", "s", "ps"},
		{"system/health/#", "s", "-", "s", "s", "s"},
		{"devices/anna/led", "ps", "ps", "s", "s", "ps"},
		{"devices/anna/#", "s", "s", "s", "s", "s"},
		{"devices/bert/led", "ps", "-", "s", "s", "ps"},
		{"devices/+/led", "s", "-", "s", "s", "s"},
		{"audio/in/anna", "ps", "p", "ps", "s", "ps"},
		{"audio/in/the-id", "ps", "-", "ps", "s", "ps"},
		{"audio/out/anna", "ps", "s", "s", "s", "ps"},
		{"audio/out/bert", "ps", "-", "s", "s", "ps"},
		{"dialogue/text", "ps", "-", "ps", "s", "ps"},
		{"tts/say", "ps", "-", "ps", "s", "ps"},
		{"tts/status", "ps", "-", "s", "s", "ps"},
		{"stt/final", "ps", "-", "s", "s", "ps"},
		{"llm/response", "ps", "-", "s", "s", "ps"},
		{"camera/capture", "ps", "-", "ps", "s", "ps"},
		{"camera/frame", "ps", "-", "s", "s", "ps"},
		{"config/update", "ps", "-", "s", "s", "ps"},
		{"homeassistant/status", "ps", "-", "s", "s", "ps"},
		{"anything", "ps", "-", "s", "s", "ps"},
		{"#", "s", "-", "s", "s", "s"},
		{"+", "s", "-", "s", "s", "s"},
		{"$SYS/broker/uptime", "s", "-", "s", "s", "s"},
		{"$SYS/broker/#", "s", "-", "s", "s", "s"},
		{"$SYS/tarsd/audit", "-", "-", "-", "-", "s"},
		{"$SYS/#", "-", "-", "-", "-", "s"},
		{"$other", "-", "-", "-", "-", "-"},
		{"", "-", "-", "-", "-", "-"},
		{"a/#/b", "-", "-", "-", "-", "-"},
		{"a+", "-", "-", "-", "-", "-"},
	}
	p := newTestPolicy(t, testOptions{})
	for _, role := range roles {
		require.NoError(t, p.users.Update(t.Context(), "anna", Change{Roles: []string{role}}))
		peer := &delivery.Peer{ID: "the-id", User: "anna", Roles: p.users.lookup("anna").roles}
		for _, c := range cases {
			want := map[string]string{
				RoleService: c.service, RoleDevice: c.device, RolePage: c.page, RoleViewer: c.viewer, RoleAdmin: c.admin,
			}[role]
			got := ""
			if p.MayPublish(peer, c.filter) {
				got += "p"
			}
			if p.MaySubscribe(peer, c.filter) {
				got += "s"
			}
			if got == "" {
				got = "-"
			}
			assert.Equal(t, want, got, "%s on %q", role, c.filter)
		}
	}
}

func TestCustomRoles(t *testing.T) {
	t.Parallel()
	r, err := NewRoles(map[string][]string{
		"kitchen": {"both kitchen/%u/#", "subscribe weather"},
		"device":  {"publish only/this"},
		"nothing": {},
	})
	require.NoError(t, err)
	assert.Equal(t, []string{"admin", "device", "kitchen", "nothing", "page", "service", "viewer"}, r.Names())
	assert.Equal(t, []string{"publish only/this"}, r.Grants("device"), "the owner's word replaces ours")
	assert.Nil(t, r.Grants("gone"))
	n := names{client: "c", user: "u"}
	assert.True(t, r.allow([]string{"nothing", "gone", "kitchen"}, n, publish, "kitchen/u/light"))
	assert.False(t, r.allow([]string{"kitchen"}, n, publish, "weather"))
	assert.False(t, r.allow([]string{"nothing"}, n, publish, "a"))
	assert.False(t, r.allow([]string{"gone"}, n, subscribe, "a"))
	assert.False(t, r.allow(nil, n, subscribe, "a"))

	require.NoError(t, r.Check([]string{"kitchen", "admin"}))
	err = r.Check([]string{"kitchen", "root"})
	require.ErrorIs(t, err, ErrUnknownRole)
	assert.ErrorContains(t, err, `"root" (known: admin, device, kitchen, nothing, page, service, viewer)`)
}

func TestCustomRolesReportAllErrors(t *testing.T) {
	t.Parallel()
	_, err := NewRoles(map[string][]string{"a": {"publish x", "write x", "publish #/x"}, "B c": {}, "b": {"both $SYS/#"}})
	require.Error(t, err)
	for _, want := range []string{`access.roles.a[1]: "write x"`, `access.roles.a[2]: "publish #/x"`, `access.roles: role "B c"`, `access.roles.b[0]`} {
		assert.Contains(t, err.Error(), want)
	}
}

// TestDocumentedRoles compares docs/security.md with the code.
func TestDocumentedRoles(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	for name, grants := range builtin() {
		row := fmt.Sprintf("\n| `%s` |", name)
		_, rest, found := strings.Cut(string(doc), row)
		require.True(t, found, "no row for %s", name)
		row, _, _ = strings.Cut(rest, "\n")
		for _, text := range grants {
			_, filter, _ := strings.Cut(text, " ")
			assert.Contains(t, row, "`"+filter+"`", "row of %s", name)
		}
	}
}
