// Package killloop kills a chartd that is publishing and pinning, again and
// again, and checks that everything it acknowledged is there and whole.
package killloop

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/testtools"
)

// roundsOnOneDirectory is how often one data directory is killed before a new
// one begins, so that recovery upon recovery is tested and the check stays
// quick.
const roundsOnOneDirectory = 10

func rounds(t *testing.T) int {
	t.Helper()
	s := os.Getenv("CHARTD_KILL_ROUNDS")
	switch {
	case s != "":
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CHARTD_KILL_ROUNDS is %q, want a number", s)
		}
		return n
	case testing.Short():
		return 3
	}
	return 50
}

func TestKillLoop(t *testing.T) {
	l := newLoop(t, testtools.Chartd(t))
	n, start := rounds(t), time.Now()
	for i := range n {
		if i%roundsOnOneDirectory == 0 {
			l.fresh(filepath.Join(t.TempDir(), "data"))
		}
		for _, p := range l.round(t.Context()) {
			t.Errorf("round %d: %s", i+1, p)
		}
		if t.Failed() {
			t.Fatalf("the data directory is kept at %s\n%s", l.keep(), l.log)
		}
	}
	t.Logf("%d kills, %d acknowledged writes, none lost, %d unknown outcomes, %v",
		n, l.total, l.unknown, time.Since(start).Round(time.Second))
}

// A loop that cannot find a known fault proves nothing: this chartd answers
// before it commits.
func TestKillLoopFindsASeededFault(t *testing.T) {
	l := newLoop(t, testtools.ChartdTagged(t, "chartd_seeded"))
	for i := range 20 {
		l.fresh(filepath.Join(t.TempDir(), "data"))
		for _, p := range l.round(t.Context()) {
			if strings.Contains(p, "lost") || strings.Contains(p, "acknowledged") {
				t.Logf("found in round %d: %s", i+1, p)
				return
			}
			t.Logf("round %d: %s", i+1, p)
		}
	}
	t.Error("20 rounds did not find a server that answers before it commits")
}
