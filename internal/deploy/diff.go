package deploy

import (
	"bytes"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"chartd.dev/chartd/internal/deploy/fileset"
)

// Diff is a unified diff of the changes, as "git apply" and "patch -p1" take it.
func Diff(changes []fileset.Change) string {
	var out strings.Builder
	for _, c := range changes {
		from, to := "a/"+c.Path, "b/"+c.Path
		if c.Old == nil {
			from = "/dev/null"
		}
		if c.New == nil {
			to = "/dev/null"
		}
		d := diff.Diff(from, c.Old, to, c.New)
		// The first line is a heading that git does not know.
		if i := bytes.IndexByte(d, '\n'); i >= 0 {
			out.Write(d[i+1:])
		}
	}
	return out.String()
}
