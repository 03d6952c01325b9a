package access

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The built-in roles. docs/security.md shows the same table, and a test compares them.
const (
	RoleService = "service" // a part of the robot, or a system it is connected to
	RoleDevice  = "device"  // a microcontroller or a satellite: its own topics and motion
	RolePage    = "page"    // a person who talks to the robot and drives it
	RoleViewer  = "viewer"  // sees everything, changes nothing
	RoleAdmin   = "admin"   // everything, the audit stream included
)

// ErrUnknownRole is wrapped by errors about a role that is neither built in nor configured.
var ErrUnknownRole = errors.New("unknown role")

// builtin returns the grants of the built-in roles.
//
// A device is granted topics by its user name and not by its client id where others share the
// branch: the owner gives the name, the device picks the id.
func builtin() map[string][]string {
	return map[string][]string{
		RoleService: {
			"both #",
			"subscribe $SYS/broker/#",
		},
		RoleDevice: {
			"both devices/%u/#",
			"publish system/health/%u",
			"publish system/keepalive/%u",
			"publish audio/in/%u",
			"subscribe audio/out/%u",
			"subscribe movement/frame",
			"subscribe movement/test",
			"both movement/stop",
			"subscribe dialogue/state",
			"publish movement/state",
			"publish movement/status",
			"publish system/health/movement-esp32",
			"publish system/health/movement-controller",
		},
		RolePage: {
			"subscribe #",
			"subscribe $SYS/broker/#",
			"publish dialogue/text",
			"publish wake/event",
			"publish wake/mic",
			"publish tts/say",
			"publish tts/control",
			"publish llm/request",
			"publish llm/cancel",
			"publish memory/query",
			"publish memory/add",
			"publish memory/forget",
			"publish memory/export",
			"publish memory/import",
			"publish character/get",
			"publish character/update",
			"publish movement/command",
			"publish movement/test",
			"publish movement/stop",
			"publish movement/resume",
			"publish movement/manual",
			"publish movement/calibrate",
			"publish camera/capture",
			"publish camera/view",
			"publish audio/in/%c",
			"publish audio/in/%u",
		},
		RoleViewer: {
			"subscribe #",
			"subscribe $SYS/broker/#",
		},
		RoleAdmin: {
			"both #",
			"subscribe $SYS/#",
		},
	}
}

// Roles is the set of roles with their grants. It does not change after NewRoles.
type Roles struct {
	byName map[string]*role
}

type role struct {
	text   []string
	grants []grant
}

// NewRoles joins the built-in roles with the owner's. A role of the owner with the name of a
// built-in one replaces it. The error names every bad grant, with its key under access.roles.
func NewRoles(custom map[string][]string) (*Roles, error) {
	all := builtin()
	maps.Copy(all, custom)
	r := &Roles{byName: make(map[string]*role, len(all))}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if err := validRoleName(name); err != nil {
			errs = append(errs, fmt.Errorf("access.roles: %w", err))
			continue
		}
		built := &role{text: slices.Clone(all[name])}
		for i, text := range built.text {
			g, err := parseGrant(text)
			if err != nil {
				errs = append(errs, fmt.Errorf("access.roles.%s[%d]: %w", name, i, err))
				continue
			}
			built.grants = append(built.grants, g)
		}
		r.byName[name] = built
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// validRoleName allows what can be a key in a configuration file and an argument of a command.
func validRoleName(name string) error {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}
	if name == "" || len(name) > 64 || strings.ContainsFunc(name, odd) {
		return fmt.Errorf("role %q: a name is 1 to 64 of a-z, 0-9, - and _", name)
	}
	return nil
}

// Names returns the names of all roles, sorted.
func (r *Roles) Names() []string {
	return slices.Sorted(maps.Keys(r.byName))
}

// Grants returns the grants of a role as they were written, or nil if there is no such role.
func (r *Roles) Grants(name string) []string {
	if found := r.byName[name]; found != nil {
		return slices.Clone(found.text)
	}
	return nil
}

// Check answers an error that wraps ErrUnknownRole if one of the names is not a role.
func (r *Roles) Check(names []string) error {
	for _, name := range names {
		if r.byName[name] == nil {
			return fmt.Errorf("%w %q (known: %s)", ErrUnknownRole, name, strings.Join(r.Names(), ", "))
		}
	}
	return nil
}

// action is what a client wants to do with a topic.
type action byte

const (
	publish action = iota
	subscribe
)

// allow reports whether one of the roles grants the action on all that the filter can match. A
// role that is not configured any more grants nothing.
func (r *Roles) allow(roles []string, n names, do action, filter string) bool {
	for _, name := range roles {
		held := r.byName[name]
		if held == nil {
			continue
		}
		for i := range held.grants {
			g := &held.grants[i]
			if (do == publish && !g.publish) || (do == subscribe && !g.subscribe) {
				continue
			}
			if g.covers(n, filter) {
				return true
			}
		}
	}
	return false
}
