package strictjson_test

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/strictjson"
)

func TestForeign(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1,"b":{"a":[{"a":2}]}}`:                         "",
		`{"config":{"Labels":{"Version":"1","version":"2"}}}`: "",
		`{"a":1,"a":1}`:                           `the key "a" is there twice`,
		`{"layers":[],"Layers":[]}`:               `the key "Layers" is there twice`,
		`{"x":[{"y":{"z":1,"z":2}}]}`:             `the key "z" is there twice`,
		`{"config":{"Labels":{"v":"1","v":"2"}}}`: `the key "v" is there twice`,
		`{"a":1}{"a":1}`:                          "more data",
		`[]`:                                      "not a JSON object",
		``:                                        "not a JSON object",
		`null`:                                    "not a JSON object",
		`{"a":`:                                   "EOF",
		"{\"a\":\"\xff\"}":                        "UTF-8",
		strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70): "too deeply",
		`{"a":` + strings.Repeat("[", 1<<20):                        "too deeply",
	} {
		var v any
		err := strictjson.Foreign([]byte(body), &v, "Labels")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", body, err, want)
		}
	}
}

type whole struct {
	Name  string `json:"name"`
	Parts []part `json:"parts,omitempty"`
	Any   any    `json:"any,omitempty"`
}

type part struct {
	Size int `json:"size"`
}

func TestUnmarshal(t *testing.T) {
	for body, want := range map[string]string{
		`{"name":"a","parts":[{"size":1}],"any":{"x":[null]}}`: "",
		`null`:                                 "",
		`{"name":"a","name":"b"}`:              `the key "name" is there twice`,
		`{"any":{"x":1,"x":2}}`:                `the key "x" is there twice`,
		`{"name":"a","NAME":"b"}`:              `unknown field "NAME", want one of name, parts, any`,
		`{"parts":[{"size":1,"sizes":1}]}`:     `unknown field "sizes", want one of size`,
		`{"parts":[{"size":"1"}]}`:             `"/parts/0/size" is no place for this JSON string`,
		`{"parts":[{"size":1.5}]}`:             `"/parts/0/size" is no place for this JSON number`,
		`{"name":"a"}{"name":"a"}`:             "after top-level value",
		`{"name":"a`:                           "EOF",
		``:                                     "EOF",
		"{\"name\":\"\xff\"}":                  "UTF-8",
		strings.Repeat("[", 1<<17):             "no place",
		`{"any":` + strings.Repeat("[", 1<<17): "depth",
	} {
		var v whole
		err := strictjson.Unmarshal([]byte(body), &v)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", body, err, want)
		}
	}
}

// The fields of an embedded struct are named as its own.
func TestEmbedded(t *testing.T) {
	var v struct {
		part
		Name string `json:"name"`
	}
	err := strictjson.Unmarshal([]byte(`{"name":"a","sizes":1}`), &v)
	if err == nil || err.Error() != `unknown field "sizes", want one of size, name` {
		t.Errorf("%v", err)
	}
}
