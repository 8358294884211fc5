package archive

import (
	"bytes"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// What a field of Chart.yaml may hold.
const (
	isText    = "a text" // quoted where it looks like a number
	isVersion = "a text or a number, kept as written"
	isBool    = "true or false"
	isTexts   = "a list of texts"
	isTextMap = "a mapping of texts"
	isPeople  = "a list of mappings with name, email and url"
	isDeps    = "a list of dependencies"
	isImports = "a list of texts or of mappings with child and parent"
)

// What the fields may hold follows from the types that they are read into.
var (
	chartFields      = fieldsOf[metadata]()
	personFields     = fieldsOf[maintainer]()
	dependencyFields = fieldsOf[Dependency]()
	importFields     = map[string]string{"child": isText, "parent": isText}
)

func fieldsOf[T any]() map[string]string {
	out := map[string]string{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[T]()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch f.Type {
		case reflect.TypeFor[bool]():
			out[name] = isBool
		case reflect.TypeFor[[]string]():
			out[name] = isTexts
		case reflect.TypeFor[map[string]string]():
			out[name] = isTextMap
		case reflect.TypeFor[[]*maintainer]():
			out[name] = isPeople
		case reflect.TypeFor[[]*Dependency]():
			out[name] = isDeps
		case reflect.TypeFor[[]any]():
			out[name] = isImports
		default:
			out[name] = isText
		}
	}
	if _, ok := out["appVersion"]; ok {
		out["appVersion"] = isVersion // which nothing compares
	}
	return out
}

// strict checks Chart.yaml and requirements.yaml beyond what Helm does.
type strict struct {
	file string
	warn func(format string, a ...any) // takes what is odd, and says nothing of who the chart is
}

// identities are the fields that say who a chart is and what it is made of:
// nothing in them is left to a reader.
var identities = []string{"name", "version", "apiVersion", "type", "appVersion", "repository", "alias"}

// odd remarks on what Helm reads as something.
func (s *strict) odd(n *yaml.Node, format string, a ...any) {
	s.warn("%s line %d: %s", s.file, n.Line, fmt.Sprintf(format, a...))
}

// check returns the first fault.
func (s *strict) check(data []byte, docs []*yaml.Node, requirements bool) error {
	if bytes.Contains(bytes.ReplaceAll(data, []byte("\r\n"), nil), []byte("\r")) {
		return s.fault(nil, "a lone carriage return; end lines with LF or CRLF")
	}
	if len(docs) != 1 || docs[0] == nil || docs[0].Kind != yaml.MappingNode {
		return s.fault(nil, "want exactly one YAML document that is a mapping, it has %d", len(docs))
	}
	if tabbed(data) {
		return s.fault(nil, "a tab between a key and its value; write a space")
	}
	if err := s.plainYAML(docs[0]); err != nil {
		return err
	}
	if key, first := doubledKey(docs[0]); key != nil {
		return s.fault(key, "the key %s is given twice, in line %d too", quote(key.Value), first.Line)
	}
	fields := chartFields
	if requirements {
		fields = map[string]string{"dependencies": isDeps}
	}
	if err := s.fields(docs[0], fields, requirements); err != nil || requirements {
		return err
	}
	return s.urls(docs[0])
}

func (s *strict) fault(n *yaml.Node, format string, a ...any) error {
	where := s.file
	if n != nil {
		where = fmt.Sprintf("%s line %d", s.file, n.Line)
	}
	return refused("chart-yaml", "%s: %s", where, fmt.Sprintf(format, a...))
}

func tabbed(data []byte) bool {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		t := bytes.TrimLeft(line, " -")
		if bytes.HasPrefix(t, []byte("\t")) && len(bytes.TrimSpace(t)) > 0 || bytes.Contains(t, []byte(":\t")) {
			return true
		}
	}
	return false
}

// plainYAML refuses what readers disagree about: anchors, aliases, merge keys,
// explicit tags.
func (s *strict) plainYAML(n *yaml.Node) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return s.fault(n, "the alias %s; write the value out", quote("*"+n.Value))
	case n.Anchor != "":
		return s.fault(n, "the anchor %s; Chart.yaml takes none", quote("&"+n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		return s.fault(n, "the tag %s; Chart.yaml takes none", quote(n.Tag))
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && (c.Kind != yaml.ScalarNode || c.ShortTag() != "!!str") {
			return s.fault(c, "the key %s is not a text", quote(c.Value))
		}
		if err := s.plainYAML(c); err != nil {
			return err
		}
	}
	return nil
}

// fields checks a mapping against a table. Unknown keys pass unless only.
func (s *strict) fields(n *yaml.Node, table map[string]string, only bool) error {
	if n.Kind != yaml.MappingNode {
		return s.fault(n, "want a mapping, got %s", quote(n.Value))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		want, ok := table[key.Value]
		if !ok {
			for known := range chartFields {
				if strings.EqualFold(known, key.Value) && (only || table[known] != "") {
					if only {
						return refused("identity", "%s line %d: the key %s does not belong here", s.file, key.Line, quote(key.Value))
					}
					return s.fault(key, "the key %s; write %s", quote(key.Value), known)
				}
			}
			continue
		}
		if err := s.field(key.Value, value, want); err != nil {
			return err
		}
	}
	return nil
}

func (s *strict) field(key string, n *yaml.Node, want string) error {
	wrong := func() error { return s.fault(n, "%s is %s; want %s", key, quote(describe(n)), want) }
	loose := !slices.Contains(identities, key)
	if loose && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		s.odd(n, "%s is empty, and Helm reads it as absent", key)
		return nil
	}
	switch want {
	case isVersion:
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			return wrong()
		}
	case isText:
		if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" {
			return wrong()
		}
		if n.Style == 0 && yamledit.Typed(n.Value) {
			if loose {
				s.odd(n, "%s %s is not quoted, and Helm reads the text %s", key, n.Value, quote(textOf(n.Value)))
				return nil
			}
			return s.fault(n, `%s %s is read as a number, date or word: quote it, as in %s: "%s"`, key, n.Value, key, n.Value)
		}
	case isBool:
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
			return wrong()
		}
	case isTextMap:
		if n.Kind != yaml.MappingNode {
			return wrong()
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !FitsKey(n.Content[i].Value) {
				return s.fault(n.Content[i], "the key %s of %s cannot stand in an index: readers of YAML take at most 1,024 characters, and << for a merge", quote(n.Content[i].Value), key)
			}
			if err := s.field(key+"."+n.Content[i].Value, n.Content[i+1], isText); err != nil {
				return err
			}
		}
	default:
		return s.list(key, n, want)
	}
	return nil
}

func (s *strict) list(key string, n *yaml.Node, want string) error {
	if n.Kind != yaml.SequenceNode {
		return s.fault(n, "%s is %s; want %s", key, quote(describe(n)), want)
	}
	for _, item := range n.Content {
		var err error
		switch {
		case want == isTexts, want == isImports && item.Kind == yaml.ScalarNode:
			err = s.field(key+" item", item, isText)
		case want == isPeople:
			err = s.fields(item, personFields, false)
		case want == isImports:
			err = s.fields(item, importFields, false)
		default:
			if err = s.fields(item, dependencyFields, false); err == nil {
				err = s.repository(item)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// FitsKey reports whether a text can be a key of an index: readers of YAML take
// no key of more than 1,024 characters on one line, escapes counted, and some
// writers of YAML, "<<" quoted, write it without the quotes.
func FitsKey(key string) bool {
	size := 0
	for _, r := range key {
		size++
		if r < ' ' || r > '~' || strings.ContainsRune(`"\<>&`, r) {
			size += len(`\u0000`) - 1
		}
	}
	return size <= 1000 && key != "<<"
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	if n.ShortTag() == "!!null" {
		return "empty"
	}
	return n.Value
}

func (s *strict) urls(root *yaml.Node) error {
	all := slices.Concat([]*yaml.Node{get(root, "home"), get(root, "icon")}, get(root, "sources").Content)
	for _, p := range get(root, "maintainers").Content {
		all = append(all, get(p, "url"))
	}
	for _, n := range all {
		if n.Value == "" || n.ShortTag() == "!!null" {
			continue
		}
		u, err := url.Parse(n.Value)
		if err == nil && u.Scheme == "file" && n == get(root, "icon") {
			s.odd(n, "icon %s is a file of somebody's own disk, which nobody else sees", quote(n.Value))
			continue
		}
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsAny(n.Value, " \"<>\\^`{|}") {
			return refused("url", "%s line %d: %s; want an http or https URL", s.file, n.Line, quote(n.Value))
		}
	}
	return nil
}

// repository checks a dependency's name and where it comes from: a URL, a
// path below file://, or a repository by name ("@name", "alias:name").
func (s *strict) repository(dep *yaml.Node) error {
	name, n := get(dep, "name"), get(dep, "repository")
	bad := func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c))
	}
	if name.Value == "" || strings.ContainsFunc(name.Value, bad) || strings.HasPrefix(name.Value, ".") || strings.HasPrefix(name.Value, "-") {
		return refused("dependencies", "%s line %d: dependency %s; want a chart name", s.file, dep.Line, quote(name.Value))
	}
	v := n.Value
	if v == "" {
		return nil
	}
	if short, ok := strings.CutPrefix(v, "@"); ok || strings.HasPrefix(v, "alias:") {
		if short = strings.TrimPrefix(short, "alias:"); short != "" && !strings.ContainsFunc(short, bad) {
			return nil
		}
	}
	u, err := url.Parse(v)
	safe := strings.Trim(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:/?#[]@!&+,=%") == ""
	if err == nil && safe {
		switch u.Scheme {
		case "http", "https", "oci":
			if u.Host != "" {
				return nil
			}
		case "file":
			return nil
		}
	}
	return refused("dependencies", "%s line %d: repository %s is not a usable URL", s.file, n.Line, quote(v))
}
