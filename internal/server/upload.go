package server

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"slices"
	"strings"
	"sync"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
)

const (
	maxParts     = 64       // of a multipart upload
	maxField     = 4 << 10  // bytes of a plain form field
	maxProv      = 1 << 20  // bytes of a provenance file
	formMargin   = 64 << 10 // bytes of part headers and boundaries
	usualPackage = 48 << 10 // bytes that most packages fit into
	singlePart   = "chart"
	provPart     = "prov"
	imagePart    = "image"
	requirePart  = "require_binding"
	createdPart  = "created"
	orderPart    = "order"
	requiresPart = "requirements"
)

// upload is what a publish request carries.
type upload struct {
	form   bool // it came as multipart
	pkg    []byte
	prov   []byte
	fields map[string][]string
	room   *bytes.Buffer // for the package; nil: it gets its own
	take   func(int64) error
}

// readPackage is readUpload for those who need a package.
func (s *Server) readPackage(c *call, fields ...string) (upload, error) {
	u, err := s.readUpload(c, fields...)
	if err == nil && u.pkg == nil {
		err = transport.BadRequest("the form has no part %q", singlePart)
	}
	return u, err
}

// readUpload reads a package: the parts of a form, or the body itself,
// whatever its type says, as push scripts send anything there. File names are
// not looked at: they are the caller's. Then it waits for a slot.
func (s *Server) readUpload(c *call, fields ...string) (upload, error) {
	u, err := s.readParts(c, fields)
	if err == nil {
		c.leave, err = s.slot(c)
	}
	return u, err
}

func (s *Server) readParts(c *call, fields []string) (upload, error) {
	contentType := c.R.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(contentType)
	if strings.HasPrefix(strings.ToLower(contentType), "multipart/") {
		if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
			return upload{}, transport.BadRequest("Content-Type %q: want multipart/form-data with a boundary", transport.Clip(contentType))
		}
		return s.readForm(c, params["boundary"], fields)
	}
	data, err := c.ReadBody(s.MaxUpload)
	if err != nil {
		return upload{}, err
	}
	if len(data) == 0 {
		return upload{}, transport.BadRequest("the body is empty: send a chart package")
	}
	c.body = ref.DigestOf(data)
	return upload{pkg: data}, nil
}

func (s *Server) readForm(c *call, boundary string, fields []string) (upload, error) {
	max := s.MaxUpload + maxProv + maxParts*maxField + formMargin
	if c.R.ContentLength > max {
		return upload{}, transport.TooLarge(s.MaxUpload)
	}
	body, free := buffered(io.LimitReader(c.RequestBody(), max))
	defer free()
	form := multipart.NewReader(body, boundary)
	u := upload{form: true, fields: map[string][]string{}, take: c.Hold}
	sum := sha256.New()
	for n := 0; ; n++ {
		part, err := form.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return upload{}, transport.BodyError(err)
		}
		if n == maxParts {
			return upload{}, transport.BadRequest("the form has more than %d parts", maxParts)
		}
		data, err := u.add(part, s.MaxUpload, fields)
		if err != nil {
			return upload{}, err
		}
		fmt.Fprintf(sum, "%q %d\n", part.FormName(), len(data))
		sum.Write(data)
	}
	if u.pkg == nil && u.prov == nil {
		return upload{}, transport.BadRequest("the form has no part %q", singlePart)
	}
	c.body = ref.FromSum([32]byte(sum.Sum(nil)))
	return u, nil
}

var formBuffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

// buffered reads a form's body in few calls: the reader of forms asks for so
// little at once that each kilobyte would cost one.
func buffered(body io.Reader) (r io.Reader, free func()) {
	b := formBuffers.Get().(*bufio.Reader)
	b.Reset(body)
	return b, func() {
		b.Reset(nil)
		formBuffers.Put(b)
	}
}

// add takes one part of the form.
func (u *upload) add(part *multipart.Part, maxPackage int64, fields []string) ([]byte, error) {
	name := part.FormName()
	if enc := strings.ToLower(part.Header.Get("Content-Transfer-Encoding")); enc != "" && enc != "binary" && enc != "8bit" && enc != "7bit" {
		return nil, transport.BadRequest("part %q has Content-Transfer-Encoding %q, send it as it is", transport.Clip(name), transport.Clip(enc))
	}
	max := int64(maxField)
	switch name {
	case singlePart:
		max = maxPackage
	case provPart:
		max = maxProv
	default:
		if !slices.Contains(fields, name) {
			return nil, transport.BadRequest("part %q: want %s", transport.Clip(name), strings.Join(append([]string{singlePart, provPart}, fields...), ", "))
		}
	}
	buf := new(bytes.Buffer)
	if name == singlePart && u.room != nil && u.pkg == nil {
		buf = u.room
	} else if name == singlePart {
		buf.Grow(usualPackage)
	}
	if _, err := buf.ReadFrom(&transport.Taking{Reader: io.LimitReader(part, max+1), Take: u.take}); err != nil {
		return nil, transport.BodyError(err)
	}
	data := buf.Bytes()
	if int64(len(data)) > max {
		return nil, fmt.Errorf("%w: part %q is larger than %d bytes", transport.ErrTooLarge, name, max)
	}
	switch {
	case name == singlePart && u.pkg != nil, name == provPart && u.prov != nil:
		return nil, transport.BadRequest("part %q is there twice", name)
	case len(data) == 0:
		return nil, transport.BadRequest("part %q is empty", name)
	case name == singlePart:
		u.pkg = data
	case name == provPart:
		u.prov = data
	case name != imagePart && len(u.fields[name]) > 0:
		return nil, transport.BadRequest("part %q is there twice", name)
	default:
		u.fields[name] = append(u.fields[name], string(data))
	}
	return data, nil
}

func (u upload) field(name string) string {
	if v := u.fields[name]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// images reads the ROLE=REF parts.
func (u upload) images() (map[ref.Role]ref.Reference, error) {
	texts := map[ref.Role]string{}
	for _, v := range u.fields[imagePart] {
		role, text, ok := strings.Cut(v, "=")
		if !ok {
			return nil, transport.BadRequest("part image %q: want ROLE=REPOSITORY:TAG", transport.Clip(v))
		}
		if _, twice := texts[ref.Role(role)]; twice {
			return nil, transport.BadRequest("part image: role %q is there twice", transport.Clip(role))
		}
		texts[ref.Role(role)] = text
	}
	return references(texts)
}
