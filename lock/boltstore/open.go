package boltstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock/store"
)

const (
	defaultTimeout = 3 * time.Second
	lockRetry      = 20 * time.Millisecond

	// mapped is the address space taken at once. bbolt maps the file anew when
	// it outgrows its map, and that waits for every reader, a slow backup too.
	mapped = 1 << 30
	// growth is the step by which the file grows; each costs an fsync.
	growth = 4 << 20
)

// Open opens the database file at path, or creates it where there is none. A
// file that is damaged, cut off, or not of this format is an error, and never
// replaced.
func Open(path string, o Options) (*Store, error) {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) && !o.ReadOnly {
		if err := create(path, o.Timeout); err != nil {
			return nil, fmt.Errorf("create lock database %s: %w", path, err)
		}
	}
	f, err := openFile(path, o)
	if err != nil {
		return nil, fmt.Errorf("open lock database: %w", err)
	}
	if !o.ReadOnly {
		// A crash can leave the second name of a database just made.
		_ = os.Remove(newName(path))
		if err := checkWritable(path); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("open lock database: its log: %w", err)
		}
	}
	c, warning, err := inspect(f)
	if err != nil {
		_ = f.Close()
		if newer := (newerFormat{}); errors.As(err, &newer) {
			return nil, fmt.Errorf("open lock database: %q cannot be used: %w", path, err)
		}
		return nil, fmt.Errorf("open lock database: %w: %q cannot be used: %w; restore a backup with \"chartd restore FILE --data NEWDIR\"", store.ErrBroken, path, err)
	}
	s := newStore(path, f, o)
	if s.id, err = inodeOf(f); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open lock database: %w", err)
	}
	if err := s.start(); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open lock database: %w", err)
	}
	logWarning, err := s.recover(c, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open lock database: %w", err), s.db.Close())
	}
	for _, warning := range []string{warning, logWarning} {
		if warning != "" && o.OnWarning != nil {
			o.OnWarning(fmt.Sprintf("lock database %s: %s", path, warning))
		}
	}
	go (&writer{s: s, due: time.NewTimer(s.tuning.flushAfter)}).run()
	go s.syncLoop()
	go s.flushLoop()
	return s, nil
}

func newStore(path string, f *os.File, o Options) *Store {
	if o.tuning == (tuning{}) {
		o.tuning = defaultTuning
	}
	return &Store{
		path: path, readOnly: o.ReadOnly, onBroken: o.OnBroken, onNotice: o.OnNotice, file: f, tuning: o.tuning,
		log:   wal{path: path, grow: o.tuning.logGrowth},
		queue: make(chan *request, waiting), control: make(chan chan sealReply),
		groups: make(chan *group), flushes: make(chan *sealed, 1), ended: make(chan struct{}),
		buffers: make(chan []byte, 2), abandoned: make(chan struct{}),
		hurry: make(chan struct{}), stuck: make(chan error), closing: make(chan struct{}), givenUp: make(chan struct{}),
	}
}

// waiting is how many updates can wait without a goroutine to hand them over.
const waiting = 256

// recover brings the state of the file and its log into memory.
func (s *Store) recover(c contents, o Options) (warning string, err error) {
	s.clean = c.clean()
	s.upgrading = string(c.own[formatKey]) != strconv.Itoa(format)
	if o.DiscardLog {
		return s.discard(c)
	}
	t, err := readTail(s.path, c)
	var st *state
	if err == nil {
		st, err = s.replay(c, t)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %q cannot be used: %w; restore a backup with \"chartd restore FILE --data NEWDIR\", or, without one, keep what can be read with \"chartd fsck --discard-log\"", store.ErrBroken, s.path, err)
	}
	s.state.Store(st)
	if n := len(t.frames); n > 0 {
		first, last := t.frames[0].first, t.frames[n-1].last()
		s.notice(fmt.Sprintf("took %d updates from the log", last-first+1), "database", s.path, "from", first, "to", last)
	}
	return t.warning(s.path, c), nil
}

// openFile opens and locks the file, so that nobody writes to it while it is
// checked. bbolt takes the same lock again on the same descriptor.
func openFile(path string, o Options) (*os.File, error) {
	flag, how := os.O_RDWR, syscall.LOCK_EX
	if o.ReadOnly {
		flag, how = os.O_RDONLY, syscall.LOCK_SH
	}
	f, err := os.OpenFile(path, flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(o.Timeout); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case time.Now().After(deadline):
			_ = f.Close()
			return nil, fmt.Errorf("%w: another process has %q open; stop it first", store.ErrLocked, path)
		}
	}
}

// inspect reads a file through before bbolt sees it.
func inspect(f *os.File) (c contents, warning string, err error) {
	fi, err := f.Stat()
	if err != nil {
		return c, "", err
	}
	if !fi.Mode().IsRegular() {
		return c, "", errors.New("it is not a regular file")
	}
	if fi.Size() == 0 {
		return c, "", errors.New("it is empty")
	}
	m, both, err := readMeta(f, fi.Size())
	if err != nil {
		return c, "", err
	}
	c, err = check(context.Background(), f, m)
	// Before the error of the check: another format may well fail it.
	if err := c.identify(err); err != nil {
		return c, "", err
	}
	if err != nil {
		return c, "", err
	}
	if !both {
		warning = "one of the two meta pages is damaged, as a power cut during a commit leaves it; if there was none, the last transaction is lost"
	}
	return c, warning, c.agree()
}

// identify refuses the file of another application or format. A failed check
// may have ended before it came to the names.
func (c contents) identify(checkErr error) error {
	app, number := c.own[applicationKey], c.own[formatKey]
	if app == nil || number == nil {
		if checkErr != nil {
			return nil
		}
		return fmt.Errorf("it is a bbolt file, but not a %s", application)
	}
	if string(app) != application {
		return fmt.Errorf("it belongs to %q, not to a %s", app, application)
	}
	n, err := strconv.Atoi(string(number))
	if err != nil || n < 1 {
		return fmt.Errorf("its format %q is unknown", number)
	}
	if n > format {
		return newerFormat{n}
	}
	return nil
}

// newerFormat is the error for a file of a newer chartd. It may well be whole.
type newerFormat struct{ number int }

func (e newerFormat) Error() string {
	return fmt.Sprintf("its format is %d and this chartd knows formats up to %d: install a newer chartd, or restore a backup of the older one with \"chartd restore FILE --data NEWDIR\"", e.number, format)
}

// Is makes it one of the errors after which a store cannot be used.
func (e newerFormat) Is(target error) bool { return target == store.ErrBroken }

func (s *Store) start() (err error) {
	defer s.guard(&err)
	s.db, err = bbolt.Open(s.path, 0o600, &bbolt.Options{
		ReadOnly:        s.readOnly,
		Timeout:         time.Second,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: mapped,
		NoStatistics:    true,
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return s.file, nil },
	})
	if err != nil {
		return err
	}
	s.db.AllocSize = growth
	return nil
}

// create makes a database under another name and renames it when it is on
// disk: a power cut while bbolt initialises a file can leave it torn.
func create(path string, timeout time.Duration) error {
	temp := newName(path)
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := fill(temp, timeout); err != nil {
		_ = os.Remove(temp)
		return err
	}
	// Link, not rename: it fails if somebody else was faster.
	if err := os.Link(temp, path); err != nil {
		_ = os.Remove(temp)
		return err
	}
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

func newName(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
}

// fill writes a new, synced database.
func fill(path string, timeout time.Duration) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: timeout})
	if err != nil {
		return err
	}
	err = db.Update(func(b *bbolt.Tx) error {
		own, err := b.CreateBucket([]byte(ownBucket))
		if err != nil {
			return err
		}
		for key, value := range map[string]string{applicationKey: application, formatKey: strconv.Itoa(format)} {
			if err := own.Put([]byte(key), seal("", []byte(key), []byte(value))); err != nil {
				return err
			}
		}
		return own.Put([]byte(revisionKey), sealNumber(revisionKey, 0))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return durable.Sync(f)
}
