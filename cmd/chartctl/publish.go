package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// maxUpload bounds what is read of a package; the server's own limit is lower.
const maxUpload = 128 << 20

func (a *app) publish() *cobra.Command {
	var images []string
	var prov string
	var require bool
	c := &cobra.Command{
		Use:   "publish PACKAGE|DIR…",
		Short: "Publish chart packages",
		Long: `Publish sends packages (.tgz) to the server; a directory is packaged first, and
the same files always give the same bytes. It is read as "helm package" reads it:
.helmignore is honoured, links are followed, out of the chart with a warning.
A version is immutable: the same
content again is fine and changes nothing, other content is refused (exit 6).

The server binds the new version to the images that its values name, or to those
given with --image. If the registry can't be asked within some seconds, the
version is published unbound and can be bound later with "chartctl bind"; with
--require-binding it is not published at all then.

A provenance file is sent only where --prov names it, never because it happens
to lie beside the package: a stale one would fail the publish.`,
		Example: `  chartctl publish jupyterhub-3.3.7.tgz
  chartctl publish ./charts/hub --image hub=quay.io/berkeley/hub:2024.4.9 --require-binding
  chartctl publish jupyterhub-3.3.7.tgz --prov jupyterhub-3.3.7.tgz.prov`,
		Args: args(1, -1),
	}
	c.Flags().StringArrayVar(&images, "image", nil, "bind to this image: ROLE=REPOSITORY:TAG or ROLE=REPOSITORY@DIGEST (repeatable)")
	c.Flags().StringVar(&prov, "prov", "", "provenance file of the package")
	c.Flags().BoolVar(&require, "require-binding", false, "publish only if the images can be bound now")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		roles, err := parseImages(images)
		if err != nil {
			return err
		}
		if len(args) > 1 && (prov != "" || len(images) > 0) {
			return usage("--prov and --image belong to one package; publish %s by themselves", plural(len(args), "package"))
		}
		req := client.PublishRequest{Images: roles, RequireBinding: require}
		if prov != "" {
			if req.Provenance, err = readFile(prov, 1<<20); err != nil {
				return localIO("read provenance file: %v", err)
			}
		}
		var done []api.PublishResult
		for _, name := range args {
			res, err := a.publishOne(ctx, c, name, req)
			if err != nil {
				if len(done) > 0 {
					a.note("%s published before the error; publishing again is safe", plural(len(done), "package"))
				}
				return err
			}
			done = append(done, res)
		}
		return a.print(map[string]any{"published": done}, func(w *writer) { publishTable(w, done) })
	})
	return c
}

func (a *app) publishOne(ctx context.Context, c *client.Client, name string, req client.PublishRequest) (api.PublishResult, error) {
	info, err := os.Stat(name)
	if err != nil {
		return api.PublishResult{}, localIO("publish: %v", err)
	}
	if info.IsDir() {
		opts := archive.Options{Limits: archive.DefaultLimits()}
		pkg, p, err := archive.Pack(name, opts)
		if err != nil {
			return api.PublishResult{}, &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("package directory %q: %v", name, err)}
		}
		for _, l := range p.Links {
			a.note("warning: %s", l)
		}
		req.Package = pkg
		return send(ctx, c, name, req)
	}
	if req.Package, err = readFile(name, maxUpload); err != nil {
		return api.PublishResult{}, localIO("read package: %v", err)
	}
	if req.Provenance == nil {
		if _, err := os.Stat(name + ".prov"); err == nil {
			a.note("note: %s.prov lies beside the package and is not sent; give --prov to send it", name)
		}
	}
	return send(ctx, c, name, req)
}

// send publishes; what the server says about a package is said with its file's name.
func send(ctx context.Context, c *client.Client, name string, req client.PublishRequest) (api.PublishResult, error) {
	res, err := c.Publish(ctx, req)
	if e, ok := err.(*api.Error); ok {
		named := *e
		named.Message = fmt.Sprintf("publish %q: %s", name, e.Message)
		err = &named
	}
	return res, err
}

func publishTable(w *writer, done []api.PublishResult) {
	tableOf(w, []string{"NAME", "VERSION", "PUBLISHED", "PACKAGE", "BINDING", "EVIDENCE"}, done, func(r api.PublishResult) []string {
		what := "new"
		if r.Existed {
			what = "existed"
		}
		state, evidence := bindingState(r.Chart)
		return []string{r.Chart.Name, r.Chart.Version, what, short(r.Chart.Package), state, evidence}
	})
	for _, r := range done {
		if r.Chart.Binding == nil && r.Chart.Unbound != "" {
			w.line("%s@%s is not bound: %s", r.Chart.Name, r.Chart.Version, r.Chart.Unbound)
		}
		for _, s := range r.Chart.Warnings {
			w.line("%s@%s: warning: %s", r.Chart.Name, r.Chart.Version, s)
		}
	}
}

// parseImages reads ROLE=REF arguments.
func parseImages(list []string) (map[ref.Role]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[ref.Role]string{}
	for _, s := range list {
		name, image, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usage("image %q is not ROLE=REFERENCE, such as hub=quay.io/jupyterhub/k8s-hub:3.3.7", s)
		}
		role, err := ref.ParseRole(name)
		if err != nil {
			return nil, usage("image %q: %v", s, err)
		}
		r, err := ref.ParseReference(image)
		if err != nil {
			return nil, usage("image %q: %v", s, err)
		}
		if r.Tag == "" && r.Digest.IsZero() {
			return nil, usage("image %q has neither a tag nor a digest, and none is assumed", s)
		}
		if _, twice := out[role]; twice {
			return nil, usage("role %q is given twice", role)
		}
		out[role] = image
	}
	return out, nil
}

func parseChart(s string) (ref.ChartVersion, error) {
	name, version, ok := strings.Cut(s, "@")
	if !ok {
		return ref.ChartVersion{}, usage("chart version %q is not NAME@VERSION", s)
	}
	v, err := ref.ParseImported(name, version)
	if err != nil {
		return v, usage("%v", err)
	}
	return v, nil
}
