package rendered

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"path"
	"strings"

	"chartd.dev/chartd/internal/api"
)

// unguarded is a sealed package without the templates by which it refuses
// another image: which value names that one is told here, with its line, and not
// that something was refused.
func unguarded(data []byte) ([]byte, error) {
	in, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read the sealed package: %v", err)
	}
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	to := tar.NewWriter(zip)
	err = copyUnguarded(to, tar.NewReader(in))
	if err = errors.Join(err, to.Close(), zip.Close()); err != nil {
		return nil, api.Errorf(api.CodeInvalid, "read the sealed package: %v", err)
	}
	return out.Bytes(), nil
}

func copyUnguarded(to *tar.Writer, from *tar.Reader) error {
	for read := int64(0); ; {
		h, err := from.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if read += h.Size; read > maxChart {
			return errors.New("it is too large")
		}
		body, err := io.ReadAll(from)
		if err != nil {
			return err
		}
		switch base := path.Base(h.Name); {
		case path.Base(path.Dir(h.Name)) == "templates" && strings.HasPrefix(base, "chartd-guard-"):
			continue
		case path.Base(path.Dir(h.Name)) == "charts" && strings.HasSuffix(base, ".tgz"):
			if body, err = unguarded(body); err != nil {
				return err
			}
			h.Size = int64(len(body))
		}
		if err := to.WriteHeader(h); err != nil {
			return err
		}
		if _, err := to.Write(body); err != nil {
			return err
		}
	}
}
