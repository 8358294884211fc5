package archive

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

var errJSON = errors.New("not a JSON object")

// checkJSONObject checks that r holds one JSON object, by syntax alone. It
// keeps one bit for each open bracket, so that any depth costs little.
func checkJSONObject(r io.Reader) error {
	p := &jsonSyntax{r: bufio.NewReader(r)}
	if bom, err := p.r.Peek(3); err == nil && bytes.Equal(bom, []byte("\ufeff")) {
		p.r.Discard(3)
	}
	c, err := p.token()
	if err != nil || c != '{' {
		return p.fault(err)
	}
	p.push(true)
	if err := p.run(); err != nil {
		return p.fault(err)
	}
	if _, err := p.token(); err != io.EOF {
		return p.fault(err)
	}
	return nil
}

type jsonSyntax struct {
	r     *bufio.Reader
	stack []uint64
	depth int
}

// fault keeps the errors of the stream below, which are not about syntax.
func (p *jsonSyntax) fault(err error) error {
	if own(err) {
		return err
	}
	return errJSON
}

func (p *jsonSyntax) push(object bool) {
	if p.depth%64 == 0 {
		p.stack = append(p.stack[:p.depth/64], 0)
	}
	if object {
		p.stack[p.depth/64] |= 1 << (p.depth % 64)
	}
	p.depth++
}

func (p *jsonSyntax) inObject() bool {
	return p.stack[(p.depth-1)/64]>>((p.depth-1)%64)&1 == 1
}

func (p *jsonSyntax) pop() {
	p.depth--
	p.stack[p.depth/64] &^= 1 << (p.depth % 64)
}

// token returns the next byte that is not white space.
func (p *jsonSyntax) token() (byte, error) {
	for {
		c, err := p.r.ReadByte()
		if err != nil || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c, err
		}
	}
}

// run reads members and items until every bracket is closed.
func (p *jsonSyntax) run() error {
	first := true // of its container: may close at once, takes no comma
	for p.depth > 0 {
		c, err := p.token()
		if err != nil {
			return err
		}
		object := p.inObject()
		if c == '}' && object || c == ']' && !object {
			p.pop()
			first = false
			continue
		}
		if !first {
			if c != ',' {
				return errJSON
			}
			if c, err = p.token(); err != nil {
				return err
			}
		}
		if object {
			if c, err = p.key(c); err != nil {
				return err
			}
		}
		if first, err = p.value(c); err != nil {
			return err
		}
	}
	return nil
}

// key reads a member's name that starts with c, the colon, and the first byte
// of its value.
func (p *jsonSyntax) key(c byte) (byte, error) {
	if c != '"' {
		return 0, errJSON
	}
	if err := p.str(); err != nil {
		return 0, err
	}
	if c, err := p.token(); err != nil || c != ':' {
		return 0, errors.Join(err, errJSON)
	}
	return p.token()
}

// value reads a value that starts with c; opened if that is a bracket.
func (p *jsonSyntax) value(c byte) (opened bool, err error) {
	switch {
	case c == '{' || c == '[':
		p.push(c == '{')
		return true, nil
	case c == '"':
		return false, p.str()
	case c == 't':
		return false, p.literal("rue")
	case c == 'f':
		return false, p.literal("alse")
	case c == 'n':
		return false, p.literal("ull")
	case c == '-' || c >= '0' && c <= '9':
		return false, p.number(c)
	}
	return false, errJSON
}

func (p *jsonSyntax) literal(rest string) error {
	for i := 0; i < len(rest); i++ {
		if c, err := p.r.ReadByte(); err != nil || c != rest[i] {
			return errors.Join(err, errJSON)
		}
	}
	return nil
}

func (p *jsonSyntax) str() error {
	for {
		r, w, err := p.r.ReadRune()
		switch {
		case err != nil:
			return err
		case r == '"':
			return nil
		case r < ' ' || r == utf8.RuneError && w == 1:
			return errJSON
		case r != '\\':
			continue
		}
		c, err := p.r.ReadByte()
		if err != nil {
			return err
		}
		if c == 'u' {
			for range 4 {
				h, err := p.r.ReadByte()
				if err != nil || !bytes.ContainsRune([]byte("0123456789abcdefABCDEF"), rune(h)) {
					return errors.Join(err, errJSON)
				}
			}
		} else if !bytes.ContainsRune([]byte(`"\/bfnrt`), rune(c)) {
			return errJSON
		}
	}
}

// number reads -?(0|[1-9]d*)(.d+)?([eE][+-]?d+)?.
func (p *jsonSyntax) number(c byte) error {
	if c == '-' {
		var err error
		if c, err = p.r.ReadByte(); err != nil {
			return err
		}
	}
	switch {
	case c == '0':
	case c >= '1' && c <= '9':
		p.digits()
	default:
		return errJSON
	}
	if p.eat(".") && p.digits() == 0 {
		return errJSON
	}
	if p.eat("eE") {
		p.eat("+-")
		if p.digits() == 0 {
			return errJSON
		}
	}
	return nil
}

func (p *jsonSyntax) eat(any string) bool {
	b, err := p.r.Peek(1)
	if err != nil || !bytes.ContainsAny(b, any) {
		return false
	}
	p.r.Discard(1)
	return true
}

func (p *jsonSyntax) digits() int {
	n := 0
	for p.eat("0123456789") {
		n++
	}
	return n
}
