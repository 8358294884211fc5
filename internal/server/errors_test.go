package server

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/internal/transport"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// outcome is what a caller sees of an error.
type outcome struct {
	err    error
	status int
	code   api.Code
	exit   int
}

// sentinels lists every exported sentinel below the HTTP layer.
var sentinels = map[string]outcome{
	"ref.ErrInvalid": {ref.ErrInvalid, 422, api.CodeInvalid, 8},

	"storage.ErrNotExist": {storage.ErrNotExist, 500, api.CodeBlobMissing, 10},
	"storage.ErrMismatch": {storage.ErrMismatch, 500, api.CodeBlobMissing, 10},
	"storage.ErrNoSpace":  {storage.ErrNoSpace, 507, api.CodeNoSpace, 10},
	"storage.ErrBroken":   {storage.ErrBroken, 500, api.CodeInternal, 1},

	"store.ErrNoKey":    {store.ErrNoKey, 500, api.CodeInternal, 1},
	"store.ErrTooLarge": {store.ErrTooLarge, 413, api.CodeTooLarge, 8},
	"store.ErrNoSpace":  {store.ErrNoSpace, 507, api.CodeNoSpace, 10},
	"store.ErrBroken":   {store.ErrBroken, 500, api.CodeInternal, 1},
	"store.ErrDamaged":  {store.ErrDamaged, 500, api.CodeInternal, 1},
	"store.ErrLocked":   {store.ErrLocked, 503, api.CodeUnavailable, 10},
	"store.ErrPanic":    {store.ErrPanic, 500, api.CodeInternal, 1},
	"store.ErrStop":     {store.ErrStop, 500, api.CodeInternal, 1},
	"lock.ErrNotFound":  {lock.ErrNotFound, 404, api.CodeNotFound, 3},
	"lock.ErrExists":    {lock.ErrExists, 409, api.CodeExists, 6},
	"lock.ErrStale":     {lock.ErrStale, 412, api.CodeStale, 6},
	"lock.ErrHalted":    {lock.ErrHalted, 423, api.CodeHalted, 5},
	"lock.ErrGate":      {lock.ErrGate, 422, api.CodeGate, 4},
	"lock.ErrInvalid":   {lock.ErrInvalid, 400, api.CodeInvalid, 8},
	"lock.ErrRefused":   {lock.ErrRefused, 422, api.CodeRefused, 8},

	"archive.ErrMalformed": {archive.ErrMalformed, 400, api.CodeInvalid, 8},
	"archive.ErrTooLarge":  {archive.ErrTooLarge, 413, api.CodeTooLarge, 8},
	"archive.ErrRefused":   {archive.ErrRefused, 422, api.CodeRefused, 8},
	"archive.ErrNoSite":    {archive.ErrNoSite, 422, api.CodeRefused, 8},

	"resolve.ErrConfig":       {resolve.ErrConfig, 500, api.CodeInternal, 1},
	"resolve.ErrUnavailable":  {resolve.ErrUnavailable, 503, api.CodeUnavailable, 10},
	"resolve.ErrNotFound":     {resolve.ErrNotFound, 404, api.CodeNotFound, 3},
	"resolve.ErrDenied":       {resolve.ErrDenied, 422, api.CodeRefused, 8},
	"resolve.ErrAddress":      {resolve.ErrAddress, 422, api.CodeRefused, 8},
	"resolve.ErrMismatch":     {resolve.ErrMismatch, 502, api.CodeMismatch, 8},
	"resolve.ErrUnauthorized": {resolve.ErrUnauthorized, 502, api.CodeUnavailable, 10},
	"resolve.ErrInvalid":      {resolve.ErrInvalid, 502, api.CodeMismatch, 8},
	"resolve.ErrTooLarge":     {resolve.ErrTooLarge, 502, api.CodeMismatch, 8},

	"repo.ErrBlobMissing": {repo.ErrBlobMissing, 500, api.CodeBlobMissing, 10},
	"repo.ErrUnavailable": {repo.ErrUnavailable, 503, api.CodeUnavailable, 10},
	"repo.ErrProvenance":  {repo.ErrProvenance, 422, api.CodeRefused, 8},
	"repo.ErrMetadata":    {repo.ErrMetadata, 422, api.CodeRefused, 8},
	"repo.ErrBackup":      {repo.ErrBackup, 500, api.CodeInternal, 1},

	"transport.ErrBadRequest": {transport.ErrBadRequest, 400, api.CodeInvalid, 8},
	"transport.ErrNotFound":   {transport.ErrNotFound, 404, api.CodeNotFound, 3},
	"transport.ErrMethod":     {transport.ErrMethod, 405, api.CodeMethod, 8},
	"transport.ErrSlow":       {transport.ErrSlow, 408, api.CodeTimeout, 8},
	"transport.ErrTooLarge":   {transport.ErrTooLarge, 413, api.CodeTooLarge, 8},
	"transport.ErrURITooLong": {transport.ErrURITooLong, 414, api.CodeTooLarge, 8},
	"transport.ErrMediaType":  {transport.ErrMediaType, 415, api.CodeMediaType, 8},
	"transport.ErrRange":      {transport.ErrRange, 416, api.CodeRange, 8},
	"transport.ErrBusy":       {transport.ErrBusy, 503, api.CodeUnavailable, 10},
	"transport.ErrLimited":    {transport.ErrLimited, 429, api.CodeRateLimited, 10},

	"auth.ErrScope":        {auth.ErrScope, 422, api.CodeInvalid, 8},
	"auth.ErrToken":        {auth.ErrToken, 422, api.CodeInvalid, 8},
	"auth.ErrUnauthorized": {auth.ErrUnauthorized, 401, api.CodeUnauthorized, 9},
	"lock.ErrCredential":   {lock.ErrCredential, 401, api.CodeUnauthorized, 9},
	"auth.ErrForbidden":    {auth.ErrForbidden, 403, api.CodeForbidden, 9},
}

func TestEverySentinelHasItsStatusCodeAndExit(t *testing.T) {
	for name, o := range sentinels {
		p := mappingOf(fmt.Errorf("do something: %w", fmt.Errorf("%w: with a detail", o.err)))
		if p.status != o.status || p.code != o.code || p.code.Exit() != o.exit {
			t.Errorf("%s: %d %s exit %d, want %d %s exit %d", name, p.status, p.code, p.code.Exit(), o.status, o.code, o.exit)
		}
	}
	if p := mappingOf(errors.New("open /var/lib/chartd: secret")); p.status != 500 || p.code != api.CodeInternal || strings.Contains(p.say, "secret") {
		t.Errorf("an unknown error: %+v", p)
	}
}

// TestNoSentinelIsForgotten reads the packages' sources.
func TestNoSentinelIsForgotten(t *testing.T) {
	found := 0
	for _, dir := range []string{"../ref", "../../storage", "../../lock", "../../lock/store", "../archive", "../resolve", "../../repo", "../auth", "../transport"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range sentinelsOf(parsed) {
				found++
				if _, ok := sentinels[parsed.Name.Name+"."+name]; !ok {
					t.Errorf("%s.%s is not in the table of this test", parsed.Name.Name, name)
				}
			}
		}
	}
	if found != len(sentinels) {
		t.Errorf("%d sentinels in the sources, %d here", found, len(sentinels))
	}
}

func sentinelsOf(f *ast.File) []string {
	var out []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			for _, n := range s.(*ast.ValueSpec).Names {
				if strings.HasPrefix(n.Name, "Err") {
					out = append(out, n.Name)
				}
			}
		}
	}
	return out
}
