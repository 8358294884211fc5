package site

import (
	"bytes"
	"regexp"
	"strings"
)

// instruction is a FROM or an ARG of a Dockerfile.
type instruction struct {
	name  string // upper case
	line  int
	words []word
}

// word is an argument, with the offset of each of its bytes in the file.
type word struct {
	text string
	at   []int
}

var (
	heredoc = regexp.MustCompile(`^[0-9]*<<(-?)([^<]+)$`)
	escapes = regexp.MustCompile("(?i)^#[ \t]*escape[ \t]*=[ \t]*(\\\\|`)[ \t]*$")
	keyed   = regexp.MustCompile(`^#[ \t]*[A-Za-z]+[ \t]*=`)
)

// dockerLines cuts a Dockerfile into physical lines with their offsets.
type dockerLine struct {
	text  string // without the line end
	start int
}

func dockerLines(doc []byte) []dockerLine {
	var out []dockerLine
	start := 0
	if bytes.HasPrefix(doc, []byte("\ufeff")) {
		start = 3
	}
	for start < len(doc) {
		end, next := len(doc), len(doc)
		if i := bytes.IndexByte(doc[start:], '\n'); i >= 0 {
			end, next = start+i, start+i+1
		}
		out = append(out, dockerLine{strings.TrimSuffix(string(doc[start:end]), "\r"), start})
		start = next
	}
	return out
}

// parseDockerfile returns the FROM and ARG instructions in order.
func parseDockerfile(doc []byte) []instruction {
	lines := dockerLines(doc)
	escape := byte('\\')
	for _, l := range lines { // directives come first
		if m := escapes.FindStringSubmatch(l.text); m != nil {
			escape = m[1][0]
		} else if !keyed.MatchString(l.text) {
			break
		}
	}
	var out []instruction
	for i := 0; i < len(lines); {
		if text := strings.TrimLeft(lines[i].text, " \t"); text == "" || text[0] == '#' {
			i++
			continue
		}
		first := i
		var text strings.Builder
		joined := word{}
		for i < len(lines) {
			l := lines[i]
			i++
			if trimmed := strings.TrimLeft(l.text, " \t"); i-1 > first && (trimmed == "" || trimmed[0] == '#') {
				continue // inside a continued instruction
			}
			body := strings.TrimRight(l.text, " \t")
			more := body != "" && body[len(body)-1] == escape
			if more {
				body = body[:len(body)-1]
			}
			text.WriteString(body)
			for j := range len(body) {
				joined.at = append(joined.at, l.start+j)
			}
			if !more {
				break
			}
		}
		joined.text = text.String()
		in := instruction{line: first + 1, words: joined.fields()}
		if len(in.words) == 0 {
			continue
		}
		in.name = strings.ToUpper(in.words[0].text)
		in.words = in.words[1:]
		i = skipHeredocs(lines, i, in)
		if in.name == "FROM" || in.name == "ARG" {
			out = append(out, in)
		}
	}
	return out
}

// skipHeredocs passes over the bodies of here-documents. One starts a word:
// neither bash's <<<"$X" nor $((1 << 3)) is one. What has no end is none
// either, so that no FROM is lost behind it.
func skipHeredocs(lines []dockerLine, i int, in instruction) int {
	if in.name != "RUN" && in.name != "COPY" && in.name != "ADD" {
		return i
	}
	for _, w := range in.words {
		m := heredoc.FindStringSubmatch(w.text)
		if m == nil {
			continue
		}
		end := word{text: m[2], at: make([]int, len(m[2]))}.unquote().text
		for at := i; at < len(lines); at++ {
			text := lines[at].text
			if m[1] != "" {
				text = strings.TrimLeft(text, "\t")
			}
			if text == end {
				i = at + 1
				break
			}
		}
	}
	return i
}

// fields cuts at white space outside quotes.
func (w word) fields() []word {
	var out []word
	start, quote := -1, byte(0)
	for i := 0; i <= len(w.text); i++ {
		c := byte(' ')
		if i < len(w.text) {
			c = w.text[i]
		}
		switch {
		case i < len(w.text) && quote != 0:
			if c == quote {
				quote = 0
			}
		case c == ' ' || c == '\t':
			if start >= 0 {
				out = append(out, w.slice(start, i))
			}
			start = -1
			continue
		case c == '"' || c == '\'':
			quote = c
		}
		if start < 0 {
			start = i
		}
	}
	return out
}

func (w word) slice(i, j int) word { return word{w.text[i:j], w.at[i:j]} }

// unquote takes one pair of quotes off.
func (w word) unquote() word {
	if n := len(w.text); n >= 2 && (w.text[0] == '"' || w.text[0] == '\'') && w.text[n-1] == w.text[0] {
		return w.slice(1, n-1)
	}
	return w
}
