package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// serviceConfig is implemented by the configuration of a service, which has a file of its own
// here. The yaml key of its field in Config is the service's name, so that the field makes the
// name known too.
type serviceConfig interface {
	check(key string, ps *Problems) // key is that of the field
}

// none in a list of services stands for an empty list.
const none = "none"

// ServiceNames are the services of this version, in the order of the fields of Config.
func ServiceNames() []string {
	var names []string
	eachService(Config{}, func(name string, _ serviceConfig) { names = append(names, name) })
	return names
}

func eachService(c Config, visit func(name string, s serviceConfig)) {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if s, ok := v.Field(i).Interface().(serviceConfig); ok {
			visit(v.Type().Field(i).Tag.Get("yaml"), s)
		}
	}
}

// listeners are the services that get their microphones from ears, which then runs too.
var listeners = []string{"stt", "wake"}

// Chosen are the services to run, in the order of ServiceNames: all of them unless Services says
// otherwise.
func (c Config) Chosen() []string { return chosen(c.Services, ServiceNames()) }

func chosen(services, known []string) []string {
	if len(services) == 0 {
		return known
	}
	listens := slices.ContainsFunc(services, func(s string) bool { return slices.Contains(listeners, s) })
	return slices.DeleteFunc(slices.Clone(known), func(name string) bool {
		return !slices.Contains(services, name) && !(name == "ears" && listens)
	})
}

// checkServices checks the list of services against the names that exist.
func checkServices(services, known []string, ps *Problems) {
	for i, s := range services {
		key := fmt.Sprintf("services[%d]", i)
		switch {
		case s == none:
			if len(services) > 1 {
				ps.add(key, "", "none stands alone")
			}
		case slices.Contains(services[:i], s):
			ps.add(key, "", "%s is there twice", s)
		case !slices.Contains(known, s):
			ps.add(key, "", "%s", unknownService(s, known))
		}
	}
}

func unknownService(name string, known []string) string {
	text := fmt.Sprintf("there is no service %q", name)
	if best := nearest(name, known); best != "" {
		return text + "; did you mean " + best + "?"
	}
	return text + "; there are " + strings.Join(append(slices.Clone(known), none), ", ")
}
