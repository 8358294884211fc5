package fileset

import (
	"errors"
	"fmt"
	"io/fs"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/durable"
)

var (
	// ErrBusy says that another process works on the checkout.
	ErrBusy = errors.New("another chartctl works on this checkout")
	// ErrChanged says that a file is neither as it was read nor as it shall be.
	ErrChanged = errors.New("file was changed by somebody else")
	// ErrUnsafe says that a path is no regular file of the checkout.
	ErrUnsafe = errors.New("not a regular file of this checkout")
	// ErrTooLarge says that a file is larger than the caller reads.
	ErrTooLarge = errors.New("file is too large")
	// ErrIO says that the file system refused: permission, space, a damaged
	// disk, or an owner that cannot be kept.
	ErrIO = errors.New("file system error")
	// ErrUnknown says that a failed sync leaves open what is on disk. It comes
	// with ErrIO.
	ErrUnknown = errors.New("state on disk is unknown; run: " + string(advice.Recover))
	// ErrPending says that an earlier transaction is unfinished.
	ErrPending = errors.New("an earlier change is unfinished; run: " + string(advice.Recover))
	// ErrJournal says that the journal of an earlier transaction is damaged.
	ErrJournal = errors.New("journal is damaged")
)

// fail makes an error of the file system one of ours. A missing file stays
// fs.ErrNotExist and is not ErrIO.
func fail(verb, path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s %q: %w", verb, path, err)
	case errors.Is(err, durable.ErrSync):
		return fmt.Errorf("%s %q: %w: %w: %w", verb, path, ErrUnknown, ErrIO, err)
	}
	return fmt.Errorf("%s %q: %w: %w", verb, path, ErrIO, err)
}

func unsafePath(path, format string, args ...any) error {
	return fmt.Errorf("%q is %w: %s", path, ErrUnsafe, fmt.Sprintf(format, args...))
}
