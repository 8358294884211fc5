package strictjson

import (
	"reflect"
	"slices"
	"strings"
	"sync"
)

// fields are the keys of a type, in its order.
type fields struct {
	names []string
	index [][]int
}

var knownFields sync.Map // reflect.Type to *fields

func fieldsOf(t reflect.Type) *fields {
	if known, ok := knownFields.Load(t); ok {
		return known.(*fields)
	}
	out := &fields{}
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous {
			continue // its fields are among them
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",") // all of them have one
		out.names, out.index = append(out.names, name), append(out.index, f.Index)
	}
	knownFields.Store(t, out)
	return out
}

// Missing names the first required key of a struct that was not sent, or sent
// without a value; "" if there is none.
func Missing(v reflect.Value, required ...string) string {
	if len(required) == 0 {
		return ""
	}
	known := fieldsOf(v.Type())
	for i, name := range known.names {
		if !slices.Contains(required, name) {
			continue
		}
		if field := v.FieldByIndex(known.index[i]); field.IsZero() || field.Kind() == reflect.Slice && field.Len() == 0 {
			return name
		}
	}
	return ""
}
