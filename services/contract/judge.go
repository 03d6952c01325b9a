package contract

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// judge says what is wrong with a value of the right kind, and nothing when it is good.
func (t *value) judge(v reflect.Value) string {
	switch t.kind {
	case kindString:
		return t.judgeText(v.String())
	case kindInt:
		return t.judgeNumber(float64(v.Int()))
	case kindFloat:
		return t.judgeNumber(v.Float())
	case kindList, kindBytes:
		if n := float64(v.Len()); n < t.min || n > t.max {
			return "length " + strconv.Itoa(v.Len()) + ", want " + t.span()
		}
	case kindAny:
		if v.IsNil() {
			return "must not be null"
		}
		if len(t.kinds) > 0 && !slices.Contains(t.kinds, kindName(v)) {
			return "want one of " + strings.Join(t.kinds, ", ")
		}
	case kindBool, kindMap, kindStruct:
	}
	return ""
}

func (t *value) judgeText(s string) string {
	if len(t.enum) > 0 && !slices.Contains(t.enum, s) {
		return "want one of " + strings.Join(t.enum, ", ")
	}
	if t.pattern != nil && !t.pattern.MatchString(s) {
		return "does not match " + t.pattern.String()
	}
	return ""
}

func (t *value) judgeNumber(f float64) string {
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "want a finite number"
	case f < t.min || f > t.max:
		return "want " + t.span()
	}
	return ""
}

// span is the range in words.
func (t *value) span() string {
	num := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch {
	case math.IsInf(t.max, 0):
		return "at least " + num(t.min)
	case math.IsInf(t.min, 0):
		return "at most " + num(t.max)
	default:
		return num(t.min) + " to " + num(t.max)
	}
}

// kindName is what JSON calls the value in an any.
func kindName(v reflect.Value) string {
	switch v.Interface().(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case map[string]any:
		return "object"
	case []any:
		return "array"
	default:
		return "number"
	}
}
