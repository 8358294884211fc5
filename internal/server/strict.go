package server

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// unmarshal reads one JSON value strictly: no unknown and no doubled key, keys
// in their own case, valid UTF-8, nothing after the value.
func unmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			return fmt.Errorf("key %q is there twice", clip(e.JSONPointer.LastToken()))
		}
	}
	e, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return err
	case e.Err == json.ErrUnknownName:
		return fmt.Errorf("unknown field %q, want one of %s", clip(e.JSONPointer.LastToken()), strings.Join(fieldsOf(e.GoType).names, ", "))
	case e.Err != nil && e.JSONKind == '"': // a text that its type does not take
		return e.Err
	}
	return fmt.Errorf("%q is no place for this JSON %s", clip(string(e.JSONPointer)), kinds[e.JSONKind])
}

var kinds = map[jsontext.Kind]string{'n': "null", 'f': "boolean", 't': "boolean", '"': "string", '0': "number", '{': "object", '[': "array"}

// fields are the keys of a wire type, in the order of the type.
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
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",") // all of them have one
		out.names, out.index = append(out.names, name), append(out.index, f.Index)
	}
	knownFields.Store(t, out)
	return out
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
