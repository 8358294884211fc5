package server

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
)

type object = map[string]any

var (
	pathVariable = regexp.MustCompile(`\{([a-z]+)(:[^}]*)?\}`)
	textual      = reflect.TypeFor[encoding.TextMarshaler]()
)

// describe writes the OpenAPI 3.1 document of the route table. The schemas are
// those of the Go types that are decoded and encoded, so they cannot differ.
func describe(version, base string) ([]byte, error) {
	d := &description{schemas: object{}}
	paths := object{}
	for _, rt := range routes() {
		path := openAPIPath(rt.path)
		item, _ := paths[path].(object)
		if item == nil {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(rt.method)] = d.operation(rt)
		if rt.method == get {
			head := d.operation(rt)
			head["operationId"] = rt.name + "Head"
			item["head"] = head
		}
	}
	server := base
	if server == "" {
		server = "/"
	}
	return json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info":    object{"title": "chartd", "version": version, "description": "A Helm chart repository, and which chart and image run where."},
		"servers": []object{{"url": server}},
		"paths":   paths,
		"components": object{
			"schemas": d.schemas,
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer"},
				"basic":  object{"type": "http", "scheme": "basic", "description": "The password is the token; the user name is not looked at."},
			},
			"responses": object{"error": object{"description": "One sentence, and a code to decide by.", "content": jsonContent(d.schema(reflect.TypeFor[api.Error]()))}},
		},
	}, "", " ")
}

// openAPIPath writes a route's path without the patterns of its variables.
func openAPIPath(path string) string { return pathVariable.ReplaceAllString(path, "{$1}") }

type description struct{ schemas object }

func (d *description) operation(rt route) object {
	op := object{"operationId": rt.name, "summary": rt.summary, "responses": d.responses(rt)}
	if scope := rt.access.describe(); scope != "" {
		op["description"] = "Needs the scope " + scope + "."
		op["security"] = []object{{"bearer": []string{}}, {"basic": []string{}}}
	} else {
		op["security"] = []object{{}}
	}
	var params []object
	for _, m := range pathVariable.FindAllStringSubmatch(rt.path, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, q := range rt.params() {
		params = append(params, object{"name": q, "in": "query", "schema": object{"type": "string"}})
	}
	for _, h := range rt.headers {
		params = append(params, object{"name": h, "in": "header", "required": true, "schema": object{"type": "string"}})
	}
	for _, h := range rt.accepts {
		params = append(params, object{"name": h, "in": "header", "schema": object{"type": "string"}})
	}
	if params != nil {
		op["parameters"] = params
	}
	switch {
	case rt.body != nil:
		op["requestBody"] = object{"required": true, "content": jsonContent(d.schema(rt.body))}
	case rt.upload:
		op["requestBody"] = object{"required": true, "content": object{
			"multipart/form-data":      object{"schema": object{"type": "object"}},
			"application/octet-stream": object{},
		}}
	}
	return op
}

func (d *description) responses(rt route) object {
	out := object{"default": object{"$ref": "#/components/responses/error"}}
	for _, status := range rt.statuses() {
		content := object{"description": statusText(status)}
		if t := wireType(rt.out); t != nil && status < 300 {
			content["content"] = jsonContent(d.schema(t))
		}
		out[strconv.Itoa(status)] = content
	}
	return out
}

// wireType is what an answer is as JSON; nil where it is something else.
func wireType(out reflect.Type) reflect.Type {
	if p, ok := reflect.Zero(out).Interface().(interface{ wire() reflect.Type }); ok {
		return p.wire()
	}
	if out.Implements(reflect.TypeFor[answer]()) {
		return nil
	}
	return out
}

func statusText(status int) string {
	switch status {
	case 201:
		return "Made, and durable."
	case 204:
		return "Done."
	case 206:
		return "The range asked for."
	case 304:
		return "The caller has it already."
	}
	return "Fine."
}

func jsonContent(schema object) object { return object{"application/json": object{"schema": schema}} }

// schema describes a type as encoding/json writes it.
func (d *description) schema(t reflect.Type) object {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return object{}
	case t.Implements(textual):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.schema(t.Elem())
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return object{"type": "integer"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.structure(t)
	}
	return object{}
}

// structure puts a struct's schema beside the others and refers to it.
func (d *description) structure(t reflect.Type) object {
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	link := object{"$ref": "#/components/schemas/" + name}
	if _, ok := d.schemas[name]; ok {
		return link
	}
	d.schemas[name] = object{} // a type that holds itself ends here
	props := object{}
	required := map[string]bool{}
	d.fields(t, props, required)
	s := object{"type": "object", "properties": props, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = slices.Sorted(maps.Keys(required))
	}
	d.schemas[name] = s
	return link
}

func (d *description) fields(t reflect.Type, props object, required map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			needs := required
			if f.Tag.Get("openapi") == "optional" {
				needs = map[string]bool{}
			}
			d.fields(f.Type, props, needs)
			continue
		}
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		props[name] = d.schema(f.Type)
		if !strings.Contains(opts, "omit") {
			required[name] = true
		}
	}
}

// describe is the scope of a rule in words, "" where none is needed.
func (a access) describe() string {
	switch {
	case a.kind == open || a.kind == anyone:
		return ""
	case a.on == chartInPath:
		return string(a.action) + ":{name}"
	case a.on == envInPath:
		return string(a.action) + ":{hub}/{stage}"
	case a.kind == inner:
		return string(a.action) + " on what the body names"
	}
	return string(a.action)
}
