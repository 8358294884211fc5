package transport

import (
	"errors"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

type someParams struct {
	Name  string  `query:"name"`
	All   bool    `query:"all"`
	Bound *bool   `query:"bound"`
	After *uint64 `query:"after"`
	Limit uint64  `query:"limit" default:"100" min:"1" max:"1000"`
	Body  struct{}
}

func TestParams(t *testing.T) {
	yes, seven := true, uint64(7)
	for query, want := range map[string]someParams{
		"":                      {Limit: 100},
		"name=&limit=&all=":     {Limit: 100},
		"name=a%20b&all=1":      {Name: "a b", All: true, Limit: 100},
		"bound=true&after=7":    {Bound: &yes, After: &seven, Limit: 100},
		"limit=1000&other=x&=y": {Limit: 1000},
	} {
		var got someParams
		c := &Call{R: httptest.NewRequest("GET", "/?"+query, nil)}
		if err := c.Params(&got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", query, got, err)
		}
	}
	for query, words := range map[string]string{
		"name=a&name=b": `"name" is there 2 times`, "all=perhaps": "want true or false", "bound=2": "want true or false",
		"limit=0": "from 1 to 1000", "limit=1001": "from 1 to 1000", "limit=-1": `limit="-1"`, "after=1.5": "want a number from 0",
		"after=99999999999999999999": "want a number from 0",
	} {
		c := &Call{R: httptest.NewRequest("GET", "/?"+query, nil)}
		if err := c.Params(new(someParams)); !errors.Is(err, ErrBadRequest) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q", query, err, words)
		}
	}
	if names := ParamNames(reflect.TypeFor[someParams]()); strings.Join(names, " ") != "name all bound after limit" {
		t.Errorf("%q", names)
	}
}
