package transport

import (
	"reflect"
	"strconv"
)

// mostNumber is the largest number of a parameter that says no other.
const mostNumber = 1 << 62

// Params reads the query into the fields of a struct that have a tag `query`
// with the name of a parameter: a string, a bool or *bool, or a uint64, which
// may have the tags `default`, `min` and `max`. A parameter is given at most
// once, and an empty one is none.
func (c *Call) Params(into any) error {
	v := reflect.ValueOf(into).Elem()
	query := c.R.URL.Query()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("query")
		if name == "" {
			continue
		}
		values := query[name]
		if len(values) > 1 {
			return BadRequest("parameter %q is there %d times", name, len(values))
		}
		if err := setParam(v.Field(i), field.Tag, name, first(values)); err != nil {
			return err
		}
	}
	return nil
}

func setParam(v reflect.Value, tag reflect.StructTag, name, text string) error {
	if text == "" {
		text = tag.Get("default")
	}
	if text == "" {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return BadRequest("parameter %s=%q: want true or false", name, Clip(text))
		}
		v.SetBool(b)
	default:
		least, most := numberOf(tag.Get("min"), 0), numberOf(tag.Get("max"), mostNumber)
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n < least || n > most {
			return BadRequest("parameter %s=%q: want a number from %d to %d", name, Clip(text), least, most)
		}
		v.SetUint(n)
	}
	return nil
}

func numberOf(tag string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(tag, 10, 64); err == nil {
		return n
	}
	return otherwise
}

// ParamNames are the parameters that Params reads into a type.
func ParamNames(t reflect.Type) []string {
	var out []string
	for _, f := range reflect.VisibleFields(t) {
		if name := f.Tag.Get("query"); name != "" {
			out = append(out, name)
		}
	}
	return out
}
