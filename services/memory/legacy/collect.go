package legacy

import "fmt"

// collect carries out the opcodes that put values into lists, dictionaries and tuples.
func (m *machine) collect(op byte) error {
	switch op {
	case 0x85, 0x86, 0x87: // TUPLE1 to TUPLE3
		items := make(tuple, op-0x84)
		for i := len(items) - 1; i >= 0; i-- {
			v, err := m.pop()
			if err != nil {
				return err
			}
			items[i] = v
		}
		m.push(items)
		return nil
	case 'a': // APPEND
		v, err := m.pop()
		if err != nil {
			return err
		}
		return m.extend([]any{v})
	case 's': // SETITEM
		v, err := m.pop()
		if err != nil {
			return err
		}
		k, err := m.pop()
		if err != nil {
			return err
		}
		return m.set([]any{k, v})
	}
	items, err := m.popMark()
	if err != nil {
		return err
	}
	switch op {
	case 't':
		m.push(tuple(items))
	case 'l':
		m.push(&list{items})
	case 'd':
		m.push(&dict{values: map[string]any{}})
		return m.set(items)
	case 'e':
		return m.extend(items)
	case 'u':
		return m.set(items)
	}
	return nil
}

func (m *machine) top() any {
	if len(m.stack) == 0 {
		return nil
	}
	return m.stack[len(m.stack)-1]
}

func (m *machine) extend(items []any) error {
	l, ok := m.top().(*list)
	if !ok {
		return fmt.Errorf("%w: items without a list", ErrRefused)
	}
	l.items = append(l.items, items...)
	return nil
}

func (m *machine) set(items []any) error {
	d, ok := m.top().(*dict)
	if !ok || len(items)%2 != 0 {
		return fmt.Errorf("%w: items without a dictionary", ErrRefused)
	}
	for i := 0; i < len(items); i += 2 {
		key, ok := items[i].(string)
		if !ok {
			return fmt.Errorf("%w: a key that is no text", ErrRefused)
		}
		if _, known := d.values[key]; !known {
			d.keys = append(d.keys, key)
		}
		d.values[key] = items[i+1]
	}
	return nil
}
