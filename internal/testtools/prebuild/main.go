// Command prebuild builds the programs that tests drive and prints where they
// are, so that make can do it beside other work. By default that is Helm and js-yaml;
// -kubernetes adds the API server, which takes minutes the first time.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"chartd.dev/chartd/internal/testtools"
)

func main() {
	kubernetes := flag.Bool("kubernetes", false, "build kube-apiserver too")
	flag.Parse()
	if err := run(context.Background(), *kubernetes); err != nil {
		fmt.Fprintln(os.Stderr, "prebuild:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubernetes bool) error {
	builds := []func() (string, error){
		func() (string, error) { return testtools.BuildHelm(ctx, 3) },
		func() (string, error) { return testtools.BuildHelm(ctx, 4) },
		func() (string, error) { return testtools.InstallJSYAML(ctx) },
	}
	if kubernetes {
		builds = append(builds, func() (string, error) { return testtools.BuildKubeAPIServer(ctx) })
	}
	for _, build := range builds {
		path, err := build()
		if err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}
