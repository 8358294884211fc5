package testtools

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// InstallJSYAML installs js-yaml as internal/tools/jsyaml locks it, or finds it
// installed already, and returns the directory from which Node finds it.
func InstallJSYAML(ctx context.Context) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	from := filepath.Join(root, "internal", "tools", "jsyaml")
	locked, err := os.ReadFile(filepath.Join(from, "package-lock.json"))
	if err != nil {
		return "", fmt.Errorf("find the pinned js-yaml: %w", err)
	}
	dir, err := cacheDir("jsyaml-" + shortSum(locked))
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	done := filepath.Join(dir, "installed")
	if _, err := os.Stat(done); err == nil {
		return dir, nil
	}
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), data, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("install js-yaml (make tools brings npm): %w\n%s", err, out)
	}
	return dir, os.WriteFile(done, nil, 0o644)
}
