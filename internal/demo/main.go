// Command demo plays docs/tutorial.md on a chartd, a registry and a Helm that
// it starts for the purpose, and cleans up after itself. With -serve it leaves
// them running for people to play with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"chartd.dev/chartd/internal/e2e/console"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

func main() {
	serve := flag.Bool("serve", false, "start everything, print how to use it, and wait for Ctrl-C")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *serve); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, serve bool) error {
	dir, err := os.MkdirTemp("", "chartd-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("Building chartd, chartctl and Helm (the first time takes some minutes) …")
	p, err := rig.StartPlayground(ctx, dir)
	if err != nil {
		return err
	}
	defer p.Stop()
	fmt.Printf("chartd answers at %s, its registry (%s) at %s.\n", p.Server.URL, p.Registry.Kind, p.Registry.Addr)
	if serve {
		return wait(ctx, p)
	}
	return play(ctx, dir, p)
}

func wait(ctx context.Context, p *rig.Playground) error {
	fmt.Printf("\nIn another terminal:\n\n  cd %s\n", p.Dir)
	for _, e := range p.Env {
		if !strings.HasPrefix(e, "TERM=") {
			fmt.Printf("  export %s\n", e)
		}
	}
	fmt.Println("\nThen follow docs/tutorial.md. Ctrl-C here ends everything and removes it.")
	<-ctx.Done()
	return nil
}

func play(ctx context.Context, dir string, p *rig.Playground) error {
	root, err := testtools.Root()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		return err
	}
	s := console.NewSession(dir, p.Dir, p.Env)
	heading := ""
	for _, step := range console.Parse(string(text)).Steps {
		if step.Heading != heading {
			heading = step.Heading
			fmt.Printf("\n== %s\n", heading)
		}
		fmt.Printf("\n$ %s\n", step.Command)
		out, err := s.Run(ctx, step.Command)
		fmt.Print(out)
		if err != nil {
			return step.Err("docs/tutorial.md", "", err)
		}
	}
	fmt.Print(`
All of it is gone again. To try next:
  make playground        the same server and registry, left running for you
  docs/tutorial.md       what each step was about
  bin/chartd --data DIR  your own repository (make build first); then
  bin/chartctl import URL-OF-YOUR-REPOSITORY   brings your charts along
`)
	return nil
}
