package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"chartctl": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now}
			code := a.run(ctx, os.Args[1:])
			stop()
			os.Exit(code)
		},
	})
}

// Each script has a chartd process of its own; the registry is shared, and
// holds quay.io/example/hub:1.0.0, 1.1.0 and 1.2.0, the images of the small
// hub chart, my/hub:good, built on 1.0.0, and my/hub:bad and my/hub:later, built
// on 1.1.0; and the same of your/hub but for later.
func TestScripts(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	registry, err := rig.StartRegistry(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Stop)
	first, second := registrytest.Make("first", "hub 1.0.0"), registrytest.Make("second", "hub 1.1.0")
	for name, image := range map[string]registrytest.Image{
		"example/hub:1.0.0": first, "example/hub:1.1.0": second, "example/hub:1.2.0": registrytest.Make("third", "hub 1.2.0"),
		"my/hub:good": registrytest.From(first, "mine"), "my/hub:bad": registrytest.From(second, "mine"),
		"my/hub:later":  registrytest.From(second, "mine", "later"),
		"your/hub:good": registrytest.From(first, "yours"), "your/hub:bad": registrytest.From(second, "yours"),
	} {
		if _, err := image.Push(t.Context(), registry.Addr+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	binary := testtools.Chartd(t)

	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			s, err := rig.Start(t.Context(), rig.ServerConfig{Binary: binary, Data: filepath.Join(env.WorkDir, ".chartd"), Args: registry.Flags()})
			if err != nil {
				return err
			}
			env.Defer(func() {
				select {
				case <-s.Done():
				default:
					s.Kill()
				}
			})
			env.Values["server"] = s
			env.Setenv("URL", s.URL)
			env.Setenv("ADMIN", filepath.Join(s.Data, "admin.token"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, ".config"))
			return os.WriteFile(filepath.Join(env.WorkDir, ".gitconfig"), []byte("[user]\n\tname = A\n\temail = a@example.edu\n"), 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      exits,
			"hub":        func(ts *testscript.TestScript, _ bool, args []string) { hub(ts, root, args) },
			"stopserver": stopServer,
			"mode":       mode,
			"capture":    capture,
			"subst":      subst,
		},
	})
}

// exits CODE COMMAND ARGS… wants exactly that exit code, and for an error one
// line on standard error that starts with the command's name.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := (*exec.ExitError)(nil)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("%s exits with %d, want %d", strings.Join(args[1:], " "), code, want)
	}
	if want == 0 {
		return
	}
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stderr")), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "chartctl: ") {
		ts.Fatalf("the last line on standard error is %q, want one that starts with %q", last, "chartctl: ")
	}
}

// hub VERSION PATH [TAG [NOTE]] writes the small hub chart: a package where
// PATH ends in .tgz, else a directory in PATH.
func hub(ts *testscript.TestScript, root string, args []string) {
	h := rig.Hub{Version: args[0]}
	if len(args) > 2 {
		h.Tag = args[2]
	}
	if len(args) > 3 {
		h.Note = args[3]
	}
	path := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
	if !strings.HasSuffix(path, ".tgz") {
		_, err := h.Write(root, path)
		ts.Check(err)
		return
	}
	b, err := h.Package(root)
	ts.Check(err)
	ts.Check(os.WriteFile(path, b, 0o644))
}

func stopServer(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(ts.Value("server").(*rig.Server).Stop())
}

// mode FILE OCTAL wants these permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	want, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	if got := info.Mode().Perm(); got != os.FileMode(want) {
		ts.Fatalf("mode of %s is %o, want %o", args[0], got, want)
	}
}

// capture VAR REGEXP sets VAR to the first group's match in what the last
// command printed.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if m == nil {
		ts.Fatalf("no match for %q", args[1])
	}
	ts.Setenv(args[0], m[1])
}

// subst FILE… replaces $NAME in files by the script's variables.
func subst(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o644))
	}
}
