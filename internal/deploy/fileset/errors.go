package fileset

import "errors"

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
	// disk. Nothing is changed unless the error is ErrUnknown as well.
	ErrIO = errors.New("file system error")
	// ErrUnknown says that a failed sync leaves open what is on disk.
	ErrUnknown = errors.New("state on disk is unknown")
	// ErrPending says that an earlier transaction is unfinished.
	ErrPending = errors.New("an earlier change is unfinished")
	// ErrJournal says that the journal of an earlier transaction is damaged.
	ErrJournal = errors.New("journal is damaged")
)
