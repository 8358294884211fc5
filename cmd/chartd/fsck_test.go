package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// crashedData is a data directory that was not closed: the updates 4 to 6 are
// in the pages 1 to 3 of its second log.
func crashedData(t *testing.T, damage func(log []byte)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, suffix := range []string{"", "-log0", "-log1"} {
		b, err := os.ReadFile("../../lock/boltstore/testdata/format2.db" + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if suffix == "-log1" {
			damage(b)
		}
		if err := os.WriteFile(filepath.Join(dir, databaseFile+suffix), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestDiscardLogOfAWholeLogIsRefused(t *testing.T) {
	dir := crashedData(t, func([]byte) {})
	code, out, errs := chartd(t, "fsck", "--discard-log", "--data", dir)
	if code != exitFailed || out != "" || !strings.Contains(errs, "the log is whole: start chartd, which takes it in; nothing was given up") {
		t.Errorf("exit %d %q: %s", code, out, errs)
	}
	if code, out, errs = chartd(t, "fsck", "--data", dir); code != 0 || errs != "" {
		t.Errorf("exit %d %q: %s", code, out, errs)
	}
}

func TestDiscardLogKeepsWhatIsGood(t *testing.T) {
	dir := crashedData(t, func(log []byte) { log[2*4096+40] ^= 1 })
	code, _, errs := chartd(t, "fsck", "--data", dir)
	if code != exitFailed || !strings.Contains(errs, "chartd fsck --discard-log") {
		t.Errorf("exit %d: %s", code, errs)
	}
	code, _, errs = chartd(t, "fsck", "--discard-log", "--data", dir)
	if code != 0 || !strings.Contains(errs, "kept updates up to 4; what came after it is given up") || !strings.Contains(errs, "lock.db-log1.discarded") {
		t.Errorf("exit %d: %s", code, errs)
	}
	backup := filepath.Join(t.TempDir(), "backup.tar")
	restored := filepath.Join(t.TempDir(), "restored")
	for _, args := range [][]string{
		{"fsck", "--data", dir}, {"backup", "--data", dir, "-o", backup}, {"restore", backup, "--data", restored}, {"fsck", "--data", restored},
	} {
		if code, out, errs := chartd(t, args...); code != 0 || errs != "" {
			t.Errorf("%q: exit %d %q: %s", args, code, out, errs)
		}
	}
}

func TestFsckWarnsOfADroppedUpdate(t *testing.T) {
	dir := crashedData(t, func(log []byte) { log[3*4096+40] ^= 1 })
	code, _, errs := chartd(t, "fsck", "--data", dir)
	if code != 0 || !strings.Contains(errs, "the last write in lock.db-log1, from update 6 on, is incomplete or damaged and is dropped") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

// What was kept is said also where the rest of the directory cannot be opened:
// the next try finds a whole log.
func TestDiscardLogSaysWhatItKeptBeforeAnError(t *testing.T) {
	dir := crashedData(t, func(log []byte) { log[2*4096+40] ^= 1 })
	if err := os.WriteFile(filepath.Join(dir, blobsDir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := chartd(t, "fsck", "--discard-log", "--data", dir)
	if code != exitFailed || !strings.Contains(errs, "in the way") || !strings.Contains(errs, "kept updates up to 4; what came after it is given up") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
