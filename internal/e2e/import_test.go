package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// oldRepository writes a directory of packages, each published a day after the
// one before it; the versions do not say so.
func oldRepository(t *testing.T, root string, n int) string {
	t.Helper()
	dir := t.TempDir()
	var index strings.Builder
	index.WriteString("apiVersion: v1\nentries:\n  jupyterhub:\n")
	for i := range n {
		v := fmt.Sprintf("1.%d.0", (i*37)%n)
		pkg, err := rig.Hub{Version: v}.Package(root)
		if err != nil {
			t.Fatal(err)
		}
		put(t, dir, "jupyterhub-"+v+".tgz", string(pkg))
		day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, i)
		fmt.Fprintf(&index, "  - {version: %s, created: %q, urls: [jupyterhub-%s.tgz]}\n", v, day.Format(time.RFC3339), v)
	}
	put(t, dir, "index.yaml", index.String())
	return dir
}

func published(t *testing.T, c *client.Client) map[uint64]api.Chart {
	t.Helper()
	out := map[uint64]api.Chart{}
	for ch, err := range c.AllCharts(t.Context(), client.ChartQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		out[ch.Seq] = ch
	}
	return out
}

// An import whose chartctl is killed, and then one whose server is, go on
// where they were: at the end every version is there once, in dated order.
func TestImportThatIsKilled(t *testing.T) {
	const n = 400
	b := rig.New(t)
	dir := oldRepository(t, b.Root, n)

	for _, killed := range []string{"chartctl", "chartd"} {
		before := len(published(t, b.Client))
		cmd := exec.Command(testtools.Chartctl(t), "import", dir)
		cmd.Env = append(os.Environ(), "CHARTCTL_SERVER="+b.Server.URL, "CHARTCTL_TOKEN="+b.Server.Token, "HOME="+t.TempDir())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		// As soon as something of it is there, the rest is on its way.
		for len(published(t, b.Client)) == before {
			select {
			case err := <-done:
				t.Fatalf("the import ended before anything was imported: %v", err)
			default:
			}
		}
		if killed == "chartd" {
			b.Server.Kill()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Logf("chartctl has ended: %v", err)
		}
		<-done
		if killed == "chartd" {
			restart(t, b)
		}
		now := len(published(t, b.Client))
		if now <= before || now > n {
			t.Errorf("killed %s: %d versions are there, %d before", killed, now, before)
		}
		t.Logf("%s was killed at %d of %d", killed, now, n)
	}
	b.Ctl(0, "import", dir)
	all := published(t, b.Client)
	if len(all) != n {
		t.Errorf("%d versions are there, want %d", len(all), n)
	}
	for seq, ch := range all {
		if next, ok := all[seq+1]; ok && !next.Created.After(ch.Created) || ch.OrderUnknown {
			t.Errorf("%s of %s is followed by %s of %s", ch.Version, ch.Created, next.Version, next.Created)
		}
	}
}

// restart starts the bench's server again on its data.
func restart(t *testing.T, b *rig.Bench) {
	t.Helper()
	s, err := rig.Start(t.Context(), rig.ServerConfig{
		Binary: testtools.Chartd(t), Data: b.Server.Data, Args: b.Registry.Flags(),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Server = s
	if b.Client, err = s.Client(); err != nil {
		t.Fatal(err)
	}
}

// An import is many packages to a request, and few lines of the journal.
func TestImportIsJournalledInFewLines(t *testing.T) {
	const n = 150
	b := rig.New(t)
	dir := oldRepository(t, b.Root, n)
	if err := os.WriteFile(filepath.Join(dir, "broken-1.0.0.tgz"), []byte("broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Ctl(0, "import", dir, "--keep-going")
	j, err := b.Client.Journal(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	sets, lines := 0, 0
	for _, l := range j.Lines {
		switch l.Verb {
		case "importset":
			sets++
		case "import":
			lines++
		}
	}
	if got := len(published(t, b.Client)); got != n || sets == 0 || sets+lines > n/8 {
		t.Errorf("%d versions in %d lines and %d single ones", got, sets, lines)
	}
	end, err := b.Client.EventsEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for after := uint64(0); after < end; {
		page, err := b.Client.Events(t.Context(), after, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if e.Kind == api.EventPublished {
				events++
			}
		}
		if page.Next <= after {
			break
		}
		after = page.Next
	}
	if events != n {
		t.Errorf("%d events of a publication, want %d", events, n)
	}
}

// Many packages share the syncs of one, where the file system can be synced as
// a whole.
func TestImportSyncsManyPackagesAtOnce(t *testing.T) {
	const n = 200
	data := filepath.Join(t.TempDir(), "data")
	dir := oldRepository(t, must(testtools.Root()), n)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	most := n / 2
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
	default:
		most = 3 * n // each file, its directory at worst, and the log
	}
	s := startTraced(t, data)
	moments := []time.Time{time.Now()}
	env := []string{"CHARTCTL_SERVER=" + s.URL, "CHARTCTL_TOKEN=" + s.Token, "HOME=" + t.TempDir()}
	r := must(rig.Run(t.Context(), "", env, testtools.Chartctl(t), "import", dir))
	moments = append(moments, time.Now())
	if r.Code != 0 {
		t.Fatalf("exit %d: %s", r.Code, r.Text())
	}
	w := s.finish(moments)[0]
	t.Logf("%d packages: %v", n, w)
	if w.syncs == 0 || w.syncs > most || w.calls > 30*n {
		t.Errorf("%d packages took %v, want %d syncs and %d calls at most", n, w, most, 30*n)
	}
}
