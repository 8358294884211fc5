package fileset

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"syscall"

	"chartd.dev/chartd/internal/durable"
)

const (
	journalName    = "journal.json"
	journalNew     = "journal.new"
	journalVersion = 1
	maxTotal       = 32 << 20 // of all new files together
	maxJournal     = 64 << 20
)

// The two states of a journal. One that is staging names the files that may
// lie about and is discarded without a question; one that is staged may belong
// to a pin.
const (
	staging = "staging"
	staged  = "staged"
)

type journal struct {
	State string          `json:"state"`
	Files []file          `json:"files"`
	Note  json.RawMessage `json:"note,omitempty"`
}

// file is one file of a journal. The new content is in the journal as well as
// in the temporary file: "git clean" removes the latter.
type file struct {
	Path   string `json:"path"`
	Target string `json:"target"` // Path without symbolic links
	Temp   string `json:"temp"`
	Old    string `json:"old"` // digest; "": there was no file
	New    string `json:"new"` // digest; "": the file is removed
	Data   []byte `json:"data,omitempty"`
}

// envelope is the journal on disk.
type envelope struct {
	Version int             `json:"version"`
	Sum     string          `json:"sum"` // of the bytes of Body
	Body    json.RawMessage `json:"body"`
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// contentDigest is that of a Change's Old or New.
func contentDigest(b []byte) string {
	if b == nil {
		return ""
	}
	return digest(b)
}

func (j journal) bytes() ([]byte, error) {
	body, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope{journalVersion, digest(body), body})
}

// parseJournal trusts nothing: the journal decides which files are removed and
// overwritten.
func parseJournal(data []byte) (journal, error) {
	var (
		e envelope
		j journal
	)
	var version struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &version) == nil && version.Version > journalVersion {
		return j, fmt.Errorf("it has version %d, and this chartctl knows %d: use the newer chartctl that wrote it", version.Version, journalVersion)
	}
	if err := json.Unmarshal(data, &e); err != nil {
		return j, err
	}
	if e.Version != journalVersion {
		return j, fmt.Errorf("it has version %d, not %d", e.Version, journalVersion)
	}
	if e.Sum != digest(e.Body) {
		return j, fmt.Errorf("its sum %q is not that of its content", e.Sum)
	}
	if err := json.Unmarshal(e.Body, &j); err != nil {
		return j, err
	}
	return j, j.check()
}

var sumPattern = regexp.MustCompile(`^([0-9a-f]{64})?$`)

func (j journal) check() error {
	if j.State != staging && j.State != staged {
		return fmt.Errorf("unknown state %q", j.State)
	}
	seen := map[string]bool{}
	for _, f := range j.Files {
		for _, p := range []string{f.Path, f.Target} {
			if err := checkPath(p); err != nil {
				return err
			}
		}
		if seen[f.Target] {
			return fmt.Errorf("%q is in it twice", f.Target)
		}
		seen[f.Target] = true
		if !isTempName(f.Target, f.Temp) {
			return fmt.Errorf("%q is no temporary name for %q", f.Temp, f.Target)
		}
		if !sumPattern.MatchString(f.Old) || !sumPattern.MatchString(f.New) || f.Old == f.New {
			return fmt.Errorf("%q has the digests %q and %q", f.Target, f.Old, f.New)
		}
		if j.State == staged && f.New != "" && f.New != digest(f.Data) {
			return fmt.Errorf("the content of %q does not have its digest %q", f.Target, f.New)
		}
	}
	return nil
}

var randPattern = regexp.MustCompile(`^[a-z2-7]{16}$`)

func tempName(target, random string) string {
	dir, base := path.Split(target)
	if len(base) > 200 {
		base = base[:200] // a name of 255 bytes is the longest there is
	}
	return dir + "." + base + ".chartctl-" + random
}

func isTempName(target, temp string) bool {
	if len(temp) < 16 {
		return false
	}
	random := temp[len(temp)-16:]
	return randPattern.MatchString(random) && temp == tempName(target, random)
}

func syncRoot(dir *os.Root) error {
	f, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.Sync(f)
}

// writeJournal replaces the journal in one step.
func writeJournal(state *os.Root, j journal) error {
	at := filepath.Join(state.Name(), journalName)
	data, err := j.bytes()
	if err != nil {
		return fail("write", at, err)
	}
	if err := remove(state, journalNew); err != nil {
		return fail("write", at, err)
	}
	f, err := state.OpenFile(journalNew, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fail("write", at, err)
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = durable.Sync(f)
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = state.Rename(journalNew, journalName)
	}
	if err != nil {
		_ = remove(state, journalNew) // the next Lock sweeps it otherwise
		return fail("write", at, err)
	}
	return fail("write", at, syncRoot(state))
}

func dropJournal(state *os.Root) error {
	err := remove(state, journalName)
	if err == nil {
		err = syncRoot(state)
	}
	return fail("remove", filepath.Join(state.Name(), journalName), err)
}

// readJournal returns nil if there is none.
func readJournal(state *os.Root) (*journal, error) {
	at := filepath.Join(state.Name(), journalName)
	damaged := func(why any) error {
		return fmt.Errorf("%w: %q: %v; look which files of the checkout are changed, put them in order by hand, and remove that file", ErrJournal, at, why)
	}
	fi, err := state.Lstat(journalName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fail("read", at, err)
	}
	if !fi.Mode().IsRegular() {
		return nil, damaged("it is a " + kind(fi.Mode()))
	}
	f, err := state.OpenFile(journalName, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // its transaction ended at this moment
	}
	if err != nil {
		return nil, fail("read", at, err)
	}
	defer f.Close()
	data, err := readAll(f, at, maxJournal)
	if errors.Is(err, ErrTooLarge) {
		return nil, damaged(err)
	}
	if err != nil {
		return nil, err
	}
	j, err := parseJournal(data)
	if err != nil {
		return nil, damaged(err)
	}
	return &j, nil
}

// remove removes a file that may be gone already.
func remove(dir *os.Root, name string) error {
	if err := dir.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
