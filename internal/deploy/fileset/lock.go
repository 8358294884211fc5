package fileset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"chartd.dev/chartd/internal/durable"
)

const (
	lockName = "lock"
	lockWait = 10 * time.Second
	lockPoll = 20 * time.Millisecond
)

// Lock makes this process the only one that changes the checkout, waiting ten
// seconds at most: then it is ErrBusy and names the holder. It discards what a
// process left that was killed before its transaction was staged.
func (r *Root) Lock(ctx context.Context) (unlock func(), err error) {
	r.mu.Lock()
	taken := r.held != nil
	r.mu.Unlock()
	if taken {
		return nil, fmt.Errorf("lock %q: %w: this process holds it already", r.Dir(), ErrBusy)
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		state, f, err := r.tryLock()
		if err != nil {
			return nil, err
		}
		if f != nil {
			return r.hold(state, f)
		}
		holder := readHolder(state)
		_ = state.Close()
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("lock %q: %w: %s; wait for it, or end it if it hangs", r.Dir(), ErrBusy, holder)
		case <-time.After(lockPoll):
		}
	}
}

// tryLock returns no file if somebody else holds the lock.
func (r *Root) tryLock() (*os.Root, *os.File, error) {
	state, err := r.openState(true)
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(state.Name(), lockName)
	f, err := state.OpenFile(lockName, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		_ = state.Close()
		return nil, nil, fail("lock", path, err)
	}
	err = checkOwnFile(state, lockName, f)
	if err == nil {
		err = flock(f)
	}
	switch {
	case err == nil:
		return state, f, nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		_ = f.Close()
		return state, nil, nil
	}
	_ = f.Close()
	_ = state.Close()
	if errors.Is(err, ErrUnsafe) {
		return nil, nil, err
	}
	return nil, nil, fail("lock", path, err)
}

func flock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// checkOwnFile refuses a file that somebody put under a name of ours to have
// another one written: a link of either kind, a pipe, a device.
func checkOwnFile(state *os.Root, name string, f *os.File) error {
	path := filepath.Join(state.Name(), name)
	there, err := state.Lstat(name)
	if err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if !fi.Mode().IsRegular() || !os.SameFile(there, fi) || names(fi) > 1 {
		return unsafePath(path, "it is a %s with %d names; remove it", kind(there.Mode()), names(fi))
	}
	return nil
}

func (r *Root) hold(state *os.Root, f *os.File) (func(), error) {
	host, _ := os.Hostname()
	b, err := json.Marshal(durable.Holder{PID: os.Getpid(), Host: host, Started: time.Now().UTC()})
	if err == nil {
		err = errors.Join(f.Truncate(0), second(f.WriteAt(b, 0)))
	}
	if err == nil {
		r.mu.Lock()
		r.held = state
		r.mu.Unlock()
		err = r.sweep()
	}
	unlock := func() {
		_ = f.Truncate(0) // the holder's name is for the message only
		_ = f.Close()
		r.release()
	}
	if err != nil {
		unlock()
		_ = state.Close()
		if errors.Is(err, ErrIO) || errors.Is(err, ErrJournal) || errors.Is(err, ErrUnsafe) {
			return nil, err
		}
		return nil, fail("lock", filepath.Join(state.Name(), lockName), err)
	}
	return unlock, nil
}

func second(_ int, err error) error { return err }

func (r *Root) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held != nil {
		_ = r.held.Close()
		r.held = nil
	}
}

func readHolder(state *os.Root) durable.Holder {
	var h durable.Holder
	f, err := state.OpenFile(lockName, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return h
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil || json.Unmarshal(b, &h) != nil {
		return durable.Holder{}
	}
	return h
}
