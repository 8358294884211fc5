package server

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

const maxJSONDepth = 32

// checkJSON refuses what encoding/json would quietly put up with in a value
// that is decoded into a variable of type t.
func checkJSON(data []byte, t reflect.Type) error {
	if !utf8.Valid(data) {
		return errors.New("it is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := checkValue(d, t, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is more after the value")
	}
	return nil
}

// checkValue checks the next value. t is nil where the type is not known; the
// decoder judges that value.
func checkValue(d *json.Decoder, t reflect.Type, depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("it is nested more than %d deep", maxJSONDepth)
	}
	token, err := d.Token()
	if err != nil {
		return jsonError(err)
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	t = plainType(t)
	seen := map[string]bool{}
	for d.More() {
		var inner reflect.Type
		if open == '{' {
			if inner, err = checkKey(d, t, seen); err != nil {
				return err
			}
		} else if t != nil && t.Kind() == reflect.Slice {
			inner = t.Elem()
		}
		if err := checkValue(d, inner, depth+1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return jsonError(err)
}

// checkKey reads a key of an object and returns the type of its value.
func checkKey(d *json.Decoder, t reflect.Type, seen map[string]bool) (reflect.Type, error) {
	token, err := d.Token()
	if err != nil {
		return nil, jsonError(err)
	}
	key, _ := token.(string)
	if seen[key] {
		return nil, fmt.Errorf("key %q is there twice", clip(key))
	}
	seen[key] = true
	switch {
	case t == nil:
		return nil, nil
	case t.Kind() == reflect.Map:
		return t.Elem(), nil
	case t.Kind() != reflect.Struct:
		return nil, nil
	}
	// encoding/json would match fields without regard to case.
	fields := fieldsOf(t)
	if inner, ok := fields.types[key]; ok {
		return inner, nil
	}
	return nil, fmt.Errorf("unknown field %q, want one of %s", clip(key), strings.Join(fields.names, ", "))
}

// fields are the keys of a wire type, in the order of the type.
type fields struct {
	names []string
	index [][]int
	types map[string]reflect.Type
}

var knownFields sync.Map // reflect.Type to *fields

func fieldsOf(t reflect.Type) *fields {
	if known, ok := knownFields.Load(t); ok {
		return known.(*fields)
	}
	out := &fields{types: map[string]reflect.Type{}}
	for _, f := range reflect.VisibleFields(t) {
		name := keyOf(f)
		out.names, out.index = append(out.names, name), append(out.index, f.Index)
		if _, ok := out.types[name]; !ok {
			out.types[name] = f.Type
		}
	}
	knownFields.Store(t, out)
	return out
}

// plainType is what lies behind pointers; nil for a type that reads itself.
func plainType(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return nil
	}
	return t
}

// keyOf is the key of a field of a wire type; all of them have a tag.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// checkRequired names the first required key of a struct that was not sent, or
// sent without a value.
func checkRequired(v reflect.Value, required []string) error {
	if len(required) == 0 {
		return nil
	}
	known := fieldsOf(v.Type())
	for i, name := range known.names {
		if !slices.Contains(required, name) {
			continue
		}
		if field := v.FieldByIndex(known.index[i]); field.IsZero() || field.Kind() == reflect.Slice && field.Len() == 0 {
			return badRequest("read JSON body: %q is missing or empty", name)
		}
	}
	return nil
}

func jsonError(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
