package site

import (
	"strings"
)

// args are the defaults of a Dockerfile's global ARGs.
type args struct {
	value map[string]word
	line  map[string]int
	twice map[string]int
}

// maxWord bounds what variables are replaced to: each may hold others.
const maxWord = 1024

func (a args) declare(in instruction) {
	for _, w := range in.words {
		i := strings.IndexByte(w.text, '=')
		if i < 0 {
			continue
		}
		name := w.text[:i]
		if _, ok := a.value[name]; ok {
			a.twice[name] = in.line
		}
		value, problem := a.replace(w.slice(i+1, len(w.text)).unquote(), 0)
		if problem == "" {
			a.value[name], a.line[name] = value, in.line
		}
	}
}

// replace puts defaults in the place of $NAME, ${NAME} and ${NAME:-default}.
// Each byte keeps its own offset in the file.
func (a args) replace(w word, depth int) (word, string) {
	var out word
	for i := 0; i < len(w.text); {
		if len(w.text) > maxWord || len(out.text) > maxWord {
			return word{}, "names an image longer than any can be"
		}
		if w.text[i] != '$' {
			out.text += w.text[i : i+1]
			out.at = append(out.at, w.at[i])
			i++
			continue
		}
		name, fallback, next, ok := variable(w, i)
		if !ok || depth > 8 {
			return word{}, "uses a variable in a form that is not understood"
		}
		value, declared := a.value[name]
		switch {
		case a.twice[name] > 0:
			return word{}, "uses the ARG " + name + ", which is given twice"
		case declared && (len(value.text) > 0 || fallback == nil):
		case fallback != nil:
			var problem string
			if value, problem = a.replace(*fallback, depth+1); problem != "" {
				return word{}, problem
			}
		default:
			return word{}, "uses the ARG " + name + ", which has no default here"
		}
		out.text += value.text
		out.at = append(out.at, value.at...)
		i = next
	}
	return out, ""
}

// variable reads a variable at byte i.
func variable(w word, i int) (name string, fallback *word, next int, ok bool) {
	end := i + 1
	if end < len(w.text) && w.text[end] == '{' {
		end++
		from := end
		for end < len(w.text) && isName(w.text[end]) {
			end++
		}
		name = w.text[from:end]
		if strings.HasPrefix(w.text[end:], ":-") {
			// A default that holds a variable of its own has braces inside.
			depth, at := 1, end+2
			for end = at; end < len(w.text); end++ {
				if w.text[end] == '{' {
					depth++
				} else if w.text[end] == '}' {
					if depth--; depth == 0 {
						break
					}
				}
			}
			if end == len(w.text) {
				return "", nil, 0, false
			}
			d := w.slice(at, end)
			fallback = &d
		}
		if end >= len(w.text) || w.text[end] != '}' {
			return "", nil, 0, false
		}
		return name, fallback, end + 1, name != ""
	}
	for end < len(w.text) && isName(w.text[end]) {
		end++
	}
	return w.text[i+1 : end], nil, end, end > i+1
}

func isName(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}
