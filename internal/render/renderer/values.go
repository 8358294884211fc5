package renderer

import (
	"slices"
	"strconv"

	"helm.sh/helm/v3/pkg/chartutil"
)

// lookup finds what stands at a path of values; indices of lists are numbers.
func lookup(v any, at []string) (any, bool) {
	for _, key := range at {
		switch in := v.(type) {
		case map[string]any:
			next, ok := in[key]
			if !ok {
				return nil, false
			}
			v = next
		case chartutil.Values:
			next, ok := in[key]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// put sets a scalar in values to be laid over effective. A list is laid over
// as a whole, so the others of its items are taken from there.
func put(over map[string]any, effective any, at []string, value any) {
	over[at[0]] = laid(over[at[0]], child(effective, at[0]), at[1:], value)
}

func laid(over, effective any, rest []string, value any) any {
	if len(rest) == 0 {
		return value
	}
	if list, ok := effective.([]any); ok {
		own, ok := over.([]any)
		if !ok {
			own = copyValue(list).([]any)
		}
		if i, err := strconv.Atoi(rest[0]); err == nil && i < len(own) && i < len(list) {
			own[i] = laid(own[i], list[i], rest[1:], value)
		}
		return own
	}
	m, ok := over.(map[string]any)
	if !ok {
		m = map[string]any{}
	}
	m[rest[0]] = laid(m[rest[0]], child(effective, rest[0]), rest[1:], value)
	return m
}

func child(v any, key string) any {
	out, _ := lookup(v, []string{key})
	return out
}

// scalars calls f with every scalar of values and the map it stands in, in
// order. A subchart's copy of a global value is left out: the top one wins.
func scalars(v any, top any, at []string, f func(at []string, value any, in map[string]any)) {
	switch v := v.(type) {
	case chartutil.Values:
		scalars(map[string]any(v), top, at, f)
	case map[string]any:
		for _, k := range sortedKeys(v) {
			path := append(slices.Clone(at), k)
			if i := slices.Index(path, "global"); i > 0 {
				if _, ok := lookup(top, path[i:]); ok {
					continue
				}
			}
			if isScalar(v[k]) {
				f(path, v[k], v)
				continue
			}
			scalars(v[k], top, path, f)
		}
	case []any:
		for i, item := range v {
			path := append(slices.Clone(at), strconv.Itoa(i))
			if isScalar(item) {
				f(path, item, nil)
				continue
			}
			scalars(item, top, path, f)
		}
	}
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, chartutil.Values, []any:
		return false
	}
	return true
}
