package strictjson

import (
	"reflect"
	"strings"
	"sync"
)

// fields are the keys of a type, in its order.
type fields struct {
	names    []string
	index    [][]int
	required []bool
}

var knownFields sync.Map // reflect.Type to *fields

func fieldsOf(t reflect.Type) *fields {
	if known, ok := knownFields.Load(t); ok {
		return known.(*fields)
	}
	out := &fields{}
	out.add(t, nil, true)
	knownFields.Store(t, out)
	return out
}

func (out *fields) add(t reflect.Type, at []int, required bool) {
	for i := range t.NumField() {
		f, index := t.Field(i), append(at[:len(at):len(at)], i)
		if f.Anonymous {
			out.add(f.Type, index, required && f.Tag.Get("openapi") != "optional")
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",") // all of them have one
		out.names, out.index = append(out.names, name), append(out.index, index)
		out.required = append(out.required, required && !strings.Contains(options, "omit"))
	}
}

// Missing names the first key of a struct that has to have a value and was not
// sent, or sent without one; "" if there is none. A key may be left out where
// its type leaves it out, and so may those of an embedded struct with the tag
// openapi:"optional".
func Missing(v reflect.Value) string {
	known := fieldsOf(v.Type())
	for i, name := range known.names {
		if !known.required[i] {
			continue
		}
		if field := v.FieldByIndex(known.index[i]); field.IsZero() || field.Kind() == reflect.Slice && field.Len() == 0 {
			return name
		}
	}
	return ""
}
