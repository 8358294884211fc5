package deploy

import (
	"context"
	"errors"
	"io/fs"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
)

// Coded gives an error of a checkout, its files or its git the code that decides
// the exit code. One that has a code keeps it.
func Coded(err error) error {
	var known *api.Error
	var locked *lockfile.SyntaxError
	var configured *config.SyntaxError
	var at *site.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrNoRepo):
		return api.Errorf(api.CodeUsage, "%v", err)
	case errors.As(err, &locked), errors.As(err, &configured), errors.As(err, &at), errors.Is(err, fileset.ErrUnsafe), errors.Is(err, fileset.ErrTooLarge):
		return api.Errorf(api.CodeInvalid, "%v", err)
	case errors.Is(err, fileset.ErrBusy), errors.Is(err, fileset.ErrChanged), errors.Is(err, fileset.ErrPending):
		return api.Errorf(api.CodeStale, "%v", err)
	case errors.Is(err, fileset.ErrIO), errors.Is(err, fileset.ErrUnknown), errors.Is(err, fileset.ErrJournal),
		errors.Is(err, gitrepo.ErrNoGit), errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
		return api.Errorf(api.CodeLocalIO, "%v", err)
	}
	return api.Errorf(api.CodeInvalid, "%v", err)
}
