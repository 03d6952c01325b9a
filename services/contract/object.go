package contract

import "reflect"

// Object is a JSON object whose keys are not the contract's business. Numbers are float64.
type Object = map[string]any

// Params reads free parameters as a T by the same rules as a payload, such as LegParams of move_legs.
func Params[T any](o Object) (T, error) {
	var v T
	b, err := appendAny(nil, o, 0)
	if o == nil {
		b = []byte("{}")
	}
	if err == nil {
		s := scanner{b: b}
		err = s.object(reflect.ValueOf(&v).Elem(), planOf(reflect.TypeFor[T]()))
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}
