// Package strictjson reads JSON from outside, so that no two readers see two
// different things in it: one value of valid UTF-8, nothing after it, and no
// key of an object twice. It is the one place that does; a test in
// internal/layers refuses another.
package strictjson

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Unmarshal reads a value of a form that is ours: keys in their own case, and
// none that is not known. A text that its type refuses is that type's error.
func Unmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into, json.RejectUnknownMembers(true))
	e, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return syntax(err)
	case e.Err == json.ErrUnknownName:
		return fmt.Errorf("unknown field %q, want one of %s", clip(e.JSONPointer.LastToken()), strings.Join(fieldsOf(e.GoType).names, ", "))
	case e.Err != nil && e.JSONKind == '"':
		return e.Err
	}
	return fmt.Errorf("%q is no place for this JSON %s", clip(string(e.JSONPointer)), kinds[e.JSONKind])
}

var kinds = map[jsontext.Kind]string{'n': "null", 'f': "boolean", 't': "boolean", '"': "string", '0': "number", '{': "object", '[': "array"}

// syntax says what is wrong with JSON in the words of who wrote it.
func syntax(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && errors.Is(err, jsontext.ErrDuplicateName) {
		return twice(e.JSONPointer.LastToken())
	}
	return err
}

func twice(key string) error { return fmt.Errorf("the key %q is there twice", clip(key)) }

// mostDepth is how deep the documents of a registry may be nested.
const mostDepth = 64

// Foreign reads an object of a form that others made. Keys may be unknown, but
// none is there twice, nor twice but for case: what container engines read such
// documents with, and so this does, takes those for the same. In the objects
// under the keys of freeForm the keys are data, where case may tell them apart.
func Foreign(data []byte, into any, freeForm ...string) error {
	f := folder{jsontext.NewDecoder(bytes.NewReader(data)), map[string]bool{}}
	for _, name := range freeForm {
		f.freeForm[name] = true
	}
	if f.PeekKind() != '{' {
		return errors.New("it is not a JSON object")
	}
	if err := f.value(""); err != nil {
		return syntax(err)
	}
	if _, err := f.ReadToken(); err != io.EOF {
		return errors.New("more data follows the JSON object")
	}
	return stdjson.Unmarshal(data, into)
}

// folder finds keys that differ in nothing but case.
type folder struct {
	*jsontext.Decoder
	freeForm map[string]bool
}

// value passes over a value that stands under the key name.
func (f folder) value(name string) error {
	t, err := f.ReadToken()
	if err != nil || t.Kind() != '{' && t.Kind() != '[' {
		return err
	}
	if f.StackDepth() > mostDepth {
		return errors.New("it is nested too deeply")
	}
	object, seen := t.Kind() == '{', map[string]bool{}
	for f.PeekKind() != '}' && f.PeekKind() != ']' {
		key := ""
		if object {
			if t, err = f.ReadToken(); err != nil {
				return err
			}
			key = t.String()
			folded := strings.ToLower(key)
			if seen[folded] && !f.freeForm[name] {
				return twice(key)
			}
			seen[folded] = true
		}
		if err := f.value(key); err != nil {
			return err
		}
	}
	_, err = f.ReadToken()
	return err
}

func clip(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
