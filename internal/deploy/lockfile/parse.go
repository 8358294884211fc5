package lockfile

import (
	"bytes"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/advice"
)

// SyntaxError says at which line a lock file is not one, and what to do.
type SyntaxError struct {
	Line int // from 1
	Text string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", Name, e.Line, e.Text) }

// mend is what to do about a file that chartctl did not write.
var mend = fmt.Sprintf("take the file from git or run %q", advice.LockResolve)

func bad(line int, format string, a ...any) *SyntaxError {
	return &SyntaxError{line, fmt.Sprintf(format, a...) + "; " + mend}
}

// Parse reads a lock file. It takes exactly what Bytes writes; every error is
// a *SyntaxError.
func Parse(data []byte) (File, error) {
	lines, err := split(data)
	if err != nil {
		return File{}, err
	}
	if err := checkHead(lines); err != nil {
		return File{}, err
	}
	f, err := parseBody(lines)
	if err != nil {
		return File{}, err
	}
	// Nothing above lets anything else through; this makes it certain.
	if again := f.Bytes(); !bytes.Equal(again, data) {
		return File{}, bad(differs(lines, again), "the line is not written as chartctl writes it")
	}
	return f, nil
}

// split cuts the file into its lines, and refuses what no line may hold.
func split(data []byte) ([]string, error) {
	switch {
	case len(data) > MaxSize:
		return nil, bad(1, "the file has %d bytes, and the limit is %d", len(data), MaxSize)
	case len(data) == 0:
		return nil, bad(1, "the file is empty")
	case bytes.HasPrefix(data, []byte("\ufeff")):
		return nil, bad(1, "the file starts with a byte order mark")
	}
	text, ended := strings.CutSuffix(string(data), "\n")
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if isMarker(line) {
			return nil, &SyntaxError{i + 1, fmt.Sprintf("resolve the conflict at line %d: %q takes what the server has pinned", i+1, advice.LockResolve)}
		}
	}
	for i, line := range lines {
		if err := checkBytes(line, i+1); err != nil {
			return nil, err
		}
	}
	if !ended {
		return nil, bad(len(lines), "the file is cut off: %s has no line end", quote(lines[len(lines)-1]))
	}
	return lines, nil
}

// checkBytes refuses everything but printable ASCII. The one other character
// stands in the first line, which is compared as a whole.
func checkBytes(line string, n int) error {
	if strings.HasSuffix(line, "\r") {
		return bad(n, `the line ends with CR LF; add "%s -text" to .gitattributes if git did this`, Name)
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\t':
			return bad(n, "a tab at column %d", i+1)
		case (c < ' ' || c > '~') && n > 1:
			return bad(n, "byte %#02x at column %d", c, i+1)
		}
	}
	if strings.HasSuffix(line, " ") {
		return bad(n, "white space at the end of %s", quote(line))
	}
	return nil
}

// isMarker knows the lines that git writes around a conflict.
func isMarker(line string) bool {
	line = strings.TrimSuffix(line, "\r")
	if line == "=======" {
		return true
	}
	for _, m := range []string{"<<<<<<<", "|||||||", ">>>>>>>"} {
		if line == m || strings.HasPrefix(line, m+" ") {
			return true
		}
	}
	return false
}

// checkHead reads the version first: a later format may have another comment.
func checkHead(lines []string) error {
	at := func(i int) string {
		if i < len(lines) {
			return lines[i]
		}
		return ""
	}
	if v := at(1); v != version && strings.HasPrefix(v, "version: ") {
		return &SyntaxError{2, fmt.Sprintf("%s is not known, this chartctl reads %q; install the chartctl that wrote the file", quote(v), version)}
	}
	for i, want := range []string{header, version, ""} {
		if i >= len(lines) {
			return bad(len(lines), "the file is cut off: %q has to follow", want)
		}
		if got := lines[i]; got != want {
			return bad(i+1, "want %q, and it is %s", want, quote(got))
		}
	}
	return nil
}

// parseBody reads the entries behind the three lines of the head.
func parseBody(lines []string) (File, error) {
	var f File
	first := map[string]int{}
	for i := 3; ; {
		if i < len(lines) && lines[i] == footer {
			if i+1 < len(lines) {
				return File{}, bad(i+2, "nothing may follow %q, and %s does", footer, quote(lines[i+1]))
			}
			return f, nil
		}
		end := i
		for end < len(lines) && lines[end] != "" && lines[end] != footer {
			end++
		}
		if end == i && i < len(lines) {
			return File{}, bad(i+1, "a second blank line")
		}
		if end == i {
			return File{}, bad(len(lines), "the file is cut off: the last line has to be %q", footer)
		}
		e, err := parseEntry(lines[i:end], i+1)
		if err != nil {
			return File{}, err
		}
		if err := follows(f, e.Key, first, i+1); err != nil {
			return File{}, err
		}
		if end == len(lines) || lines[end] != "" {
			return File{}, bad(min(end+1, len(lines)), "a blank line has to follow the entry of %s", e.Key)
		}
		f.Entries = append(f.Entries, e)
		i = end + 1
	}
}

// follows checks that key is new and in order.
func follows(f File, key string, first map[string]int, line int) error {
	if n, twice := first[key]; twice {
		return bad(line, "%s has a second entry here, its first is at line %d", key, n)
	}
	first[key] = line
	if n := len(f.Entries); n > 0 && key < f.Entries[n-1].Key {
		return bad(line, "the entries are not in order: %s stands behind %s", key, f.Entries[n-1].Key)
	}
	return nil
}

// differs is the first line that b has otherwise.
func differs(lines []string, b []byte) int {
	other := strings.Split(string(b), "\n")
	for i, line := range lines {
		if i >= len(other) || line != other[i] {
			return i + 1
		}
	}
	return len(lines)
}

func quote(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}
