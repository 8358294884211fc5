package durable

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

var (
	// ErrLocked says that another process holds the directory.
	ErrLocked = errors.New("directory is in use")
	// ErrFilesystem says that the directory lies on a file system whose locks
	// cannot be trusted.
	ErrFilesystem = errors.New("file system is not supported")
)

// LockName is the name of the lock file in a locked directory.
const LockName = "LOCK"

// Holder says who holds a directory.
type Holder struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Started time.Time `json:"started"`
	URL     string    `json:"url,omitempty"`
}

func (h Holder) String() string {
	if h.PID == 0 {
		return "a process that has not written its name yet"
	}
	s := fmt.Sprintf("process %d on %q, started %s", h.PID, h.Host, h.Started.UTC().Format(time.RFC3339))
	if h.URL != "" {
		s += fmt.Sprintf(", serving %q", h.URL)
	}
	return s
}

// DirLock holds a directory for this process until Close, or until the
// process ends however it ends: the lock is the kernel's, not the file.
type DirLock struct {
	mu   sync.Mutex
	f    *os.File
	info Holder
}

// LockDir takes dir, or fails at once with ErrLocked that names the holder.
func LockDir(dir string, info Holder) (*DirLock, error) {
	if err := checkFilesystem(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, LockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock directory: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			// An unreadable name of the holder does not make it less held.
			holder, _ := ReadHolder(dir)
			return nil, fmt.Errorf("%w: %q is held by %s; stop that process first", ErrLocked, dir, holder)
		}
		return nil, fmt.Errorf("%w: cannot lock %q (%w); put it on a local disk", ErrFilesystem, path, err)
	}
	l := &DirLock{f: f, info: info}
	// A full disk keeps nobody from being the holder.
	if err := l.write(info); err != nil && !IsNoSpace(err) {
		_ = f.Close()
		return nil, err
	}
	return l, nil
}

// ReadHolder returns what the lock file says; it does not say that the
// process still lives.
func ReadHolder(dir string) (Holder, error) {
	var h Holder
	path := filepath.Join(dir, LockName)
	b, err := os.ReadFile(path)
	if err != nil {
		return h, fmt.Errorf("read lock file: %w", err)
	}
	if len(b) == 0 {
		return h, nil
	}
	// What a longer name left behind this one is going to be cut off.
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&h); err != nil {
		return Holder{}, fmt.Errorf("read lock file %s: %w", path, err)
	}
	return h, nil
}

// SetURL adds the address that the holder serves. Where there is no space for
// it, the directory is held all the same.
func (l *DirLock) SetURL(url string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.info.URL = url
	return l.write(l.info)
}

// Close takes the name out of the lock file and lets the directory go. The file
// stays: removing it would let two later processes lock two files of one name.
func (l *DirLock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.write(Holder{})
	if IsNoSpace(err) {
		err = nil // then it is empty
	}
	if closeErr := l.f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("unlock directory: %w", err)
	}
	return nil
}

// write rewrites the file in place, because the lock belongs to its inode, and
// never empties it first: a full disk may have no block for it again.
func (l *DirLock) write(h Holder) error {
	b, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	b = append(b, '\n')
	if _, err = l.f.WriteAt(b, 0); err == nil {
		err = l.f.Truncate(int64(len(b)))
	} else if IsNoSpace(err) {
		// No name is better than another one's.
		err = errors.Join(err, l.f.Truncate(0))
	}
	if err != nil {
		return fmt.Errorf("write lock file: %w", err)
	}
	return nil
}
