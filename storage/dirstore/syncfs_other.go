//go:build !linux

package dirstore

import (
	"errors"
	"os"
)

func syncsWhole(string) bool { return false }

func syncfs(*os.File) error { return errors.ErrUnsupported }
