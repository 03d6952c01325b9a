package plan

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// ErrRefused is wrapped by every error that says why a request makes no move.
var ErrRefused = errors.New("refused")

// StopCommand is the command that is no move: it is the emergency stop.
const StopCommand = "stop"

// The parameters of the commands that have any.
var (
	legParams = []param{{"height_percent", Height}, {"left_percent", LeftLeg}, {"right_percent", RightLeg}}
	armParams = []param{
		{"port_main", PortMain}, {"port_forearm", PortForearm}, {"port_hand", PortHand},
		{"star_main", StarMain}, {"star_forearm", StarForearm}, {"star_hand", StarHand},
	}
)

type param struct {
	name  string
	joint Joint
}

// Command is the move of a name of movement/test with its parameters, as they came from JSON:
//
//	move_legs   height_percent, left_percent, right_percent   1 to 100, all three
//	move_arm    port_main ... star_hand                       1 to 100, at least one
//	test_joint  joint, a name; percent 1 to 100, optional     there and back, or from end to end
//
// No other command has parameters, and unknown ones are refused.
func Command(name string, params map[string]any) (Move, error) {
	switch name {
	case "move_legs":
		if err := missing(params, legParams); err != nil {
			return Move{}, err
		}
		return limbs(name, params, legParams)
	case "move_arm":
		if len(params) == 0 {
			return Move{}, fmt.Errorf("%w: move_arm needs a parameter, such as port_main", ErrRefused)
		}
		return limbs(name, params, armParams)
	case "test_joint":
		return testJoint(params)
	}
	return lookup(Sequences(), "command", name, params)
}

// Action is the move of a name of movement/command. No action has parameters.
func Action(name string, params map[string]any) (Move, error) {
	return lookup(Actions(), "action", name, params)
}

func lookup(table []Move, kind, name string, params map[string]any) (Move, error) {
	i := slices.IndexFunc(table, func(m Move) bool { return m.Name == name })
	if i < 0 {
		return Move{}, fmt.Errorf("%w: %.40q is no %s", ErrRefused, name, kind)
	}
	if err := unknown(params, nil); err != nil {
		return Move{}, err
	}
	return table[i], nil
}

// limbs is a single pose made of percentages.
func limbs(name string, params map[string]any, known []param) (Move, error) {
	if err := unknown(params, known); err != nil {
		return Move{}, err
	}
	var s Step
	for _, p := range known {
		if v, ok := params[p.name]; ok {
			t, err := percent(p.name, v)
			if err != nil {
				return Move{}, err
			}
			s.To[p.joint] = t
		}
	}
	return Move{Name: name, Steps: []Step{s}}, nil
}

// testJoint moves one joint slowly and back to rest.
func testJoint(params map[string]any) (Move, error) {
	if err := unknown(params, []param{{name: "joint"}, {name: "percent"}}); err != nil {
		return Move{}, err
	}
	name, ok := params["joint"].(string)
	j, known := JointNamed(name)
	if !ok || !known {
		return Move{}, fmt.Errorf("%w: joint is none of %s", ErrRefused, strings.Join(names[:], ", "))
	}
	way := []Target{least, most}
	if v, ok := params["percent"]; ok {
		t, err := percent("percent", v)
		if err != nil {
			return Move{}, err
		}
		way = []Target{t}
	}
	m := Move{Name: "test_joint"}
	for _, t := range append(way, Rest) {
		s := Step{Hold: 400 * time.Millisecond, Pace: 0.5}
		s.To[j] = t
		m.Steps = append(m.Steps, s)
	}
	return m, nil
}

func missing(params map[string]any, need []param) error {
	for _, p := range need {
		if _, ok := params[p.name]; !ok {
			return fmt.Errorf("%w: parameter %s is missing", ErrRefused, p.name)
		}
	}
	return nil
}

func unknown(params map[string]any, known []param) error {
	for _, k := range slices.Sorted(maps.Keys(params)) {
		if !slices.ContainsFunc(known, func(p param) bool { return p.name == k }) {
			return fmt.Errorf("%w: %.40q is no parameter of it", ErrRefused, k)
		}
	}
	return nil
}

// percent reads a whole number from 1 to 100.
func percent(name string, v any) (Target, error) {
	f, ok := v.(float64)
	if !ok || f < 1 || f > 100 || f != math.Trunc(f) {
		return 0, fmt.Errorf("%w: %s is not a whole number from 1 to 100", ErrRefused, name)
	}
	return Target(f), nil
}
