// Package indextest has every index that a test makes read by the readers that
// clients have: those of Go at once, PyYAML and js-yaml when all tests of a
// package are done. They must all read the same. Test support only.
package indextest

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	yamlv2 "go.yaml.in/yaml/v2"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"

	"chartd.dev/chartd/internal/testtools"
)

var (
	//go:embed read.py
	python []byte
	//go:embed read.js
	javascript []byte
)

// kept are the indexes for the readers that are no Go, as files.
var kept struct {
	sync.Mutex
	dir  string
	seen map[[sha256.Size]byte]bool
}

// Read has the readers of Go read an index, and keeps it for the others.
func Read(t testing.TB, index []byte) {
	t.Helper()
	want, err := yaml.YAMLToJSONStrict(index)
	if err != nil {
		t.Errorf("sigs.k8s.io/yaml cannot read the index: %v", err)
		return
	}
	want = normal(t, "sigs.k8s.io/yaml", want)
	if json.Valid(index) {
		same(t, "encoding/json", want, normal(t, "encoding/json", index))
	}
	for name, unmarshal := range map[string]func([]byte, any) error{
		"yaml.v2": yamlv2.UnmarshalStrict,
		"yaml.v3": func(data []byte, v any) error { return yamlv3.Unmarshal(data, v) },
	} {
		var v any
		if err := unmarshal(index, &v); err != nil {
			t.Errorf("%s cannot read the index: %v", name, err)
			continue
		}
		got, err := json.Marshal(textKeys(v))
		if err != nil {
			t.Errorf("%s reads what JSON has no word for: %v", name, err)
			continue
		}
		same(t, name, want, got)
	}
	if err := keep(index, want); err != nil {
		t.Error(err)
	}
}

// normal is JSON with its keys in order.
func normal(t testing.TB, reader string, data []byte) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		t.Errorf("%s: %v", reader, err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Errorf("%s: %v", reader, err)
	}
	return out
}

// textKeys makes of yaml.v2's maps those of JSON.
func textKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		out := map[string]any{}
		for k, item := range v {
			out[fmt.Sprint(k)] = textKeys(item)
		}
		return out
	case map[string]any:
		for k, item := range v {
			v[k] = textKeys(item)
		}
	case []any:
		for i, item := range v {
			v[i] = textKeys(item)
		}
	}
	return v
}

func same(t testing.TB, reader string, want, got []byte) {
	t.Helper()
	if bytes.Equal(want, got) {
		return
	}
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	around := func(b []byte) []byte { return b[max(0, min(at, len(b))-60):min(len(b), at+60)] }
	t.Errorf("%s reads %q where sigs.k8s.io/yaml reads %q", reader, around(got), around(want))
}

func keep(index, want []byte) (err error) {
	kept.Lock()
	defer kept.Unlock()
	if kept.dir == "" {
		if kept.dir, err = os.MkdirTemp("", "chartd-indexes-"); err != nil {
			return err
		}
		kept.seen = map[[sha256.Size]byte]bool{}
	}
	sum := sha256.Sum256(index)
	if kept.seen[sum] {
		return nil
	}
	kept.seen[sum] = true
	name := filepath.Join(kept.dir, fmt.Sprintf("%d", len(kept.seen)))
	return errors.Join(os.WriteFile(name+".yaml", index, 0o600), os.WriteFile(name+".json", want, 0o600))
}

// Run runs the tests of a package, and then PyYAML and js-yaml over the indexes
// that they made. It returns the exit code.
func Run(m *testing.M) int {
	code := m.Run()
	if kept.dir == "" {
		return code
	}
	defer os.RemoveAll(kept.dir)
	if err := others(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: the indexes of these tests:", err)
		return max(code, 1)
	}
	return code
}

func others(ctx context.Context) error {
	dir, err := testtools.InstallJSYAML(ctx)
	if err != nil {
		return err
	}
	for _, reader := range []struct {
		name string
		code []byte
		argv []string
	}{
		{"PyYAML", python, []string{"/usr/bin/python3", "-", kept.dir}},
		{"js-yaml", javascript, []string{"node", "-", kept.dir}},
	} {
		cmd := exec.CommandContext(ctx, reader.argv[0], reader.argv[1:]...)
		cmd.Stdin = bytes.NewReader(reader.code)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", reader.name, err, out)
		}
	}
	return nil
}
