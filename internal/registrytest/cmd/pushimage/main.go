// Command pushimage makes a small image with a digest known beforehand and
// pushes it to a registry. It prints the digest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"chartd.dev/chartd/internal/registrytest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pushimage:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("pushimage", flag.ContinueOnError)
	registry := flags.String("registry", "", "HOST:PORT of the registry")
	repo := flags.String("repo", "", "repository to push to")
	tag := flags.String("tag", "", "tag to push")
	seed := flags.String("seed", "", "what makes this image differ from others (default REPO:TAG)")
	base := flags.String("base", "", "image to build on: HOST:PORT/REPOSITORY:TAG")
	platforms := flags.String("platforms", "", "comma-separated platforms, for an index (ignored with --base)")
	var labels labelFlag
	flags.Var(&labels, "label", "KEY=VALUE (repeated)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *registry == "" || *repo == "" || *tag == "" || flags.NArg() > 0 {
		flags.Usage()
		return errors.New("want --registry HOST:PORT --repo REPOSITORY --tag TAG")
	}
	if *seed == "" {
		*seed = *repo + ":" + *tag
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	image := registrytest.Make(*seed)
	if *base != "" {
		under, err := registrytest.Pull(ctx, *base)
		if err != nil {
			return fmt.Errorf("pull the base %q: %w", *base, err)
		}
		image = registrytest.From(under, *seed)
	} else if *platforms != "" {
		image.Platforms = strings.Split(*platforms, ",")
	}
	image.Labels = labels
	digest, err := image.Push(ctx, *registry+"/"+*repo+":"+*tag)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, digest)
	return err
}

// labelFlag collects KEY=VALUE.
type labelFlag map[string]string

func (l *labelFlag) String() string { return "" }

func (l *labelFlag) Set(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" {
		return fmt.Errorf("label %q: want KEY=VALUE", s)
	}
	if *l == nil {
		*l = labelFlag{}
	}
	(*l)[key] = value
	return nil
}
