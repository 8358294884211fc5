package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/e2e/rig"
)

// An init that was killed while it wrote its files is finished by the next
// one; what belongs to a pin is left to recover.
func TestInitAfterKill(t *testing.T) {
	b := rig.New(t)
	b.Publish(rig.Hub{Version: "1.0.0"})
	for name, c := range map[string]struct {
		note json.RawMessage
		code int
		want string
	}{
		"of an init": {move.FilesOnly(b.Server.URL), 0, "the files of an earlier init were finished"},
		"of a pin":   {json.RawMessage(`{"format":1,"server":"` + b.Server.URL + `","key":"k","environments":["a/b"]}`), 6, "chartctl recover"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "my-hub")
			chart := []byte("apiVersion: v2\nname: hub\nversion: 0.1.0\ndependencies:\n- name: jupyterhub\n  version: 1.0.0\n  repository: https://old\n")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "Chart.yaml"), chart, 0o644); err != nil {
				t.Fatal(err)
			}
			staged := []byte(strings.Replace(string(chart), "https://old", b.Server.URL, 1))
			stage(t, dir, fileset.Change{Path: "Chart.yaml", Old: chart, New: staged}, c.note)

			sub := *b
			sub.TB = t
			if dry := sub.Ctl(6, "init", "--dry-run", "-C", dir); !strings.Contains(dry.Err, "unfinished") {
				t.Errorf("a dry run:\n%s", dry.Text())
			}
			r := sub.Ctl(c.code, "init", "--yes", "-C", dir)
			if !strings.Contains(r.Err, c.want) {
				t.Errorf("want %q:\n%s", c.want, r.Text())
			}
			got, err := os.ReadFile(filepath.Join(dir, "Chart.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			want := chart
			if c.code == 0 {
				want = staged
			}
			if string(got) != string(want) {
				t.Errorf("Chart.yaml is\n%s", got)
			}
			if _, err := os.Stat(filepath.Join(dir, ".chartctl.yaml")); (err == nil) != (c.code == 0) {
				t.Errorf(".chartctl.yaml: %v", err)
			}
		})
	}
}

// stage leaves a change as a process does that is killed before it moves the
// files in.
func stage(t *testing.T, dir string, change fileset.Change, note json.RawMessage) {
	root, err := fileset.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	unlock, err := root.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if _, err := root.Stage([]fileset.Change{change}, note); err != nil {
		t.Fatal(err)
	}
}
