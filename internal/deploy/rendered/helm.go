package rendered

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
)

// Program is the Helm that is run where nobody names another.
const Program = "helm"

const (
	timeLimit = 2 * time.Minute // for one rendering
	maxOutput = 64 << 20        // bytes of rendered documents
	maxSaid   = 64 << 10        // bytes on standard error that are kept
)

// Find returns where the program is, absolute; "" means Program. A name
// without a slash is looked up in the path, but for directories that are
// relative there: those would be of the checkout.
func Find(program string) (string, error) {
	program = cmp.Or(program, Program)
	at, err := exec.LookPath(program)
	if errors.Is(err, exec.ErrDot) && strings.ContainsRune(program, filepath.Separator) {
		err = nil
	}
	if err == nil {
		at, err = filepath.Abs(at)
	}
	if e := (*exec.Error)(nil); errors.As(err, &e) {
		err = e.Err
	}
	if err != nil {
		return "", &api.Error{Code: api.CodeUsage, Message: fmt.Sprintf("helm program %q can't be run: %v", program, err),
			Want: "install Helm 3 or 4, or name it with --helm or CHARTCTL_HELM"}
	}
	return at, nil
}

// helm runs a program in an environment of its own: its caches, settings and
// plugins are an empty directory, and no cluster is known to it.
type helm struct {
	program string
	home    string // temporary
	limit   time.Duration
}

// template is one "helm template".
type template struct {
	release, namespace string
	chart              string   // path
	values             []string // paths, in their order
	args               []string
}

// failure is a rendering that Helm refused.
type failure struct{ said string }

func (f *failure) Error() string { return f.said }

// render returns the rendered documents. It is a *failure where Helm says no.
func (h helm) render(ctx context.Context, t template) ([]byte, error) {
	argv := []string{"template", t.release, t.chart, "--namespace", t.namespace}
	for _, v := range t.values {
		argv = append(argv, "--values", v)
	}
	limited, stop := context.WithTimeout(ctx, h.limit)
	defer stop()
	cmd := exec.CommandContext(limited, h.program, append(argv, t.args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = h.home, h.environ(), time.Second
	out, said := &bounded{most: maxOutput}, &bounded{most: maxSaid}
	cmd.Stdout, cmd.Stderr = out, said
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		return nil, &failure{fmt.Sprintf("helm template did not end within %v", h.limit)}
	case out.over:
		return nil, &failure{fmt.Sprintf("more than %d MiB are rendered", maxOutput>>20)}
	case errors.As(err, &exit):
		return nil, &failure{saidBy(said.kept, exit)}
	case err != nil:
		return nil, api.Errorf(api.CodeUsage, "helm program %q can't be run: %v", h.program, err)
	}
	return out.kept, nil
}

// environ names no cluster, and nothing of the user's Helm but the program.
func (h helm) environ() []string {
	env := []string{"HOME=" + h.home, "KUBECONFIG=" + filepath.Join(h.home, "no-cluster")}
	for name, dir := range map[string]string{"HELM_CACHE_HOME": "cache", "HELM_CONFIG_HOME": "config", "HELM_DATA_HOME": "data", "HELM_PLUGINS": "plugins",
		"HELM_REPOSITORY_CACHE": "cache/repository", "HELM_REPOSITORY_CONFIG": "config/repositories.yaml", "HELM_REGISTRY_CONFIG": "config/registry.json"} {
		env = append(env, name+"="+filepath.Join(h.home, dir))
	}
	for _, name := range []string{"PATH", "TMPDIR", "LANG", "SYSTEMROOT"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// saidBy is Helm's error in one line, without its warnings.
func saidBy(text []byte, exit *exec.ExitError) string {
	said := strings.TrimSpace(string(text))
	if i := strings.LastIndex("\n"+said, "\nError: "); i >= 0 {
		said = said[i+len("Error: "):]
	}
	said = strings.Join(strings.Fields(strings.ReplaceAll(said, "Use --debug flag to render out invalid YAML", "")), " ")
	return cmp.Or(said, exit.String())
}

// bounded keeps the first bytes of what is written to it.
type bounded struct {
	kept []byte
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := min(b.most-len(b.kept), len(p))
	b.kept, b.over = append(b.kept, p[:room]...), b.over || room < len(p)
	return len(p), nil
}
