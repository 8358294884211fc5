package boltstore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"chartd.dev/chartd/lock/boltstore"
)

// An older file of the database that is put back beside a newer log begins a
// time of its own: what is written from then on is found after a kill, and
// nothing of the time before.
func TestOlderFileBesideANewerLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s := open(t, path)
	putNumbered(t, s, 1, 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	older := readFiles(t, path)
	s = open(t, path)
	putNumbered(t, s, 6, 60)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files{"": older[""]}.write(t, path)

	s = open(t, path)
	putNumbered(t, s, 6, 10)
	killed := filepath.Join(t.TempDir(), "lock.db")
	readFiles(t, path).write(t, killed)
	if err := numbered(open(t, killed), t, 10); err != nil {
		t.Error(err)
	}
}

// What root writes with a command belongs to the server's user.
func TestLogBelongsToTheOwnerOfTheDatabase(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	path := filepath.Join(t.TempDir(), "lock.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	putNumbered(t, s, 1, 1)
	for i := range 2 {
		fi, err := os.Stat(boltstore.LogPath(path, i))
		if err != nil {
			t.Fatal(err)
		}
		if st := fi.Sys().(*syscall.Stat_t); st.Uid != 65534 || st.Gid != 65534 {
			t.Errorf("log %d belongs to %d:%d", i, st.Uid, st.Gid)
		}
	}
}

// A log that cannot be written is found at the start, and not by the first
// update; also by the command that gives up a damaged one.
func TestLogThatCannotBeWritten(t *testing.T) {
	for name, test := range map[string]struct {
		put func(path string) error
		say string
	}{
		"a link":      {func(path string) error { return os.Symlink("elsewhere", path) }, "put the file that it leads to in its place"},
		"a directory": {func(path string) error { return os.Mkdir(path, 0o700) }, "move it away"},
	} {
		path := filepath.Join(t.TempDir(), "lock.db")
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if err := test.put(boltstore.LogPath(path, 1)); err != nil {
			t.Fatal(err)
		}
		for _, discard := range []bool{false, true} {
			_, err := boltstore.Open(path, boltstore.Options{DiscardLog: discard})
			if err == nil || !strings.Contains(err.Error(), "lock.db-log1") || !strings.Contains(err.Error(), "reads and writes") || !strings.Contains(err.Error(), test.say) {
				t.Errorf("with %s in place of a log: %v", name, err)
			}
			if strings.Contains(fmt.Sprint(err), "discard-log") {
				t.Errorf("nothing is lost, and yet: %v", err)
			}
		}
	}
}
