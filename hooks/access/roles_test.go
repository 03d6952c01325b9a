package access

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/services/contract"
)

// TestBuiltinRoles is the table role x action x topic. In the columns: p may publish, s may
// subscribe, - neither.
func TestBuiltinRoles(t *testing.T) {
	t.Parallel()
	roles := []string{RoleService, RoleDevice, RolePage, RoleViewer, RoleAdmin}
	cases := []struct{ filter, service, device, page, viewer, admin string }{
		{"movement/test", "ps", "s", "ps", "s", "ps"},
		{"movement/stop", "ps", "ps", "ps", "s", "ps"},
		{"movement/manual", "ps", "-", "ps", "s", "ps"},
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

// TestDocumentedRoles compares docs/security.md with the code, in both columns and nothing beside.
func TestDocumentedRoles(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/security.md")
	require.NoError(t, err)
	for name, grants := range builtin() {
		_, rest, found := strings.Cut(string(doc), fmt.Sprintf("\n| `%s` |", name))
		require.True(t, found, "no row for %s", name)
		row, _, _ := strings.Cut(rest, "\n")
		columns := strings.Split(row, "|")
		require.Len(t, columns, 3, "row of %s", name)
		var want [2][]string
		for _, text := range grants {
			verb, filter, _ := strings.Cut(text, " ")
			if verb != "subscribe" {
				want[0] = append(want[0], "`"+filter+"`")
			}
			if verb != "publish" {
				want[1] = append(want[1], "`"+filter+"`")
			}
		}
		for i := range want {
			assert.ElementsMatch(t, want[i], strings.Fields(columns[i]), "row of %s", name)
		}
	}
}

// TestRolesFollowTheTable: what the contract table lets a page or a device publish, or sends to a device,
// their roles grant, and a page nothing else.
func TestRolesFollowTheTable(t *testing.T) {
	t.Parallel()
	r, err := NewRoles(nil)
	require.NoError(t, err)
	n := names{client: "id", user: "anna"}
	may := func(role string, do action, row contract.Row) bool {
		return r.allow([]string{role}, n, do, strings.ReplaceAll(row.Name, "+", n.user))
	}
	for _, row := range contract.Table() {
		anybody := slices.Contains(row.Publishers, "any")
		if slices.Contains(row.Publishers, "page") {
			assert.True(t, may(RolePage, publish, row), "page to %s", row.Name)
		} else if !anybody {
			assert.False(t, may(RolePage, publish, row), "page to %s", row.Name)
		}
		assert.True(t, may(RolePage, subscribe, row), "%s to page", row.Name)
		if slices.Contains(row.Publishers, "device") {
			assert.True(t, may(RoleDevice, publish, row), "device to %s", row.Name)
		}
		if slices.Contains(row.Subscribers, "device") {
			assert.True(t, may(RoleDevice, subscribe, row), "%s to device", row.Name)
		}
		assert.False(t, may(RoleViewer, publish, row), "viewer to %s", row.Name)
	}
	for _, role := range []string{RoleDevice, RolePage} {
		assert.True(t, r.allow([]string{role}, n, publish, contract.MovementStop.Name), "everybody who moves may stop")
	}
}
