package rollout

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// Handed is what a deploying command gets: the pair of one revision in its
// environment, and two files.
type Handed struct {
	Pin     api.Pin
	Binding api.Binding
	Notes   []string // for a person, before the command runs
	// Package is the sealed package, or the original where there is no sealed
	// one. Values puts the images over the original; "" where the chart has no
	// place for that.
	Package, Values string
	Unseen          string // why nobody knows what Helm renders

	server string
	dir    string // temporary; holds the files
}

// hand downloads what the command gets. Everything in it belongs to one
// revision, so that it can't be mixed with what is pinned meanwhile.
func (h *Handed) hand(ctx context.Context, c *client.Client, prefix, values string) error {
	var err error
	if h.dir, err = os.MkdirTemp("", "chartctl-deploy-"); err != nil {
		return api.Errorf(api.CodeLocalIO, "make a place for the package: %v", err)
	}
	return errors.Join(h.fetchPackage(ctx, c), h.fetchValues(ctx, c, prefix, values))
}

// Drop takes the files away. It does nothing where there are none.
func (h *Handed) Drop() {
	if h.dir != "" {
		os.RemoveAll(h.dir)
	}
}

func (h *Handed) note(format string, args ...any) {
	h.Notes = append(h.Notes, fmt.Sprintf("note: "+format, args...))
}

func (h *Handed) fetchPackage(ctx context.Context, c *client.Client) (err error) {
	b := h.Binding
	name := fmt.Sprintf("%s-%s.tgz", b.Name, b.Version)
	var body []byte
	if b.Sealed.IsZero() {
		body, err = c.Package(ctx, api.Chart{Name: b.Name, Version: b.Version, Package: b.Package})
	} else {
		name = sealedName(b)
		body, err = c.Sealed(ctx, b)
	}
	if err != nil {
		return err
	}
	h.Package = filepath.Join(h.dir, name)
	return writeNew(h.Package, body)
}

func (h *Handed) fetchValues(ctx context.Context, c *client.Client, prefix, path string) error {
	body, err := c.Overlay(ctx, h.Pin.Env, h.Pin.Revision)
	var e *api.Error
	switch {
	case errors.As(err, &e) && e.Code.Exit() == api.ExitInvalid && path == "" && prefix == "" && !h.Binding.Sealed.IsZero():
		h.note("%s@%s has no values file for its images (%s); the sealed package holds them", h.Binding.Name, h.Binding.Version, e.Message)
		return nil
	case err != nil:
		return err
	}
	if path == "" {
		path = filepath.Join(h.dir, "values.yaml")
	} else if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return api.Errorf(api.CodeLocalIO, "replace the values file: %v", err)
	}
	h.Values = path
	return writeNew(path, under(prefix, body))
}

// under moves values below a key: the name that a wrapper has for the chart.
// The server can do that for the chart's own name, but knows of no alias.
func under(key string, values []byte) []byte {
	if key == "" {
		return values
	}
	var head, body bytes.Buffer
	for line := range bytes.Lines(values) {
		if bytes.HasPrefix(line, []byte("#")) {
			head.Write(line)
			continue
		}
		body.WriteString("    ")
		body.Write(line)
	}
	fmt.Fprintf(&head, "%q:\n", key)
	return append(head.Bytes(), body.Bytes()...)
}

func writeNew(path string, body []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(body)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return api.Errorf(api.CodeLocalIO, "write what the command gets: %v", err)
	}
	return nil
}

// sealedName is the file name under which the server has a sealed package.
func sealedName(b api.Binding) string {
	return fmt.Sprintf("%s-%s.sealed-%s.tgz", b.Name, b.Version, b.Sealed.Hex()[:16])
}

// environ is inherited with the pair added. What an outer chartctl deploy has
// left there is dropped: half of it could stay. Our token is in it only if it
// was there before.
func (h *Handed) environ(inherited []string) []string {
	out := slices.DeleteFunc(slices.Clone(inherited), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return ours(name)
	})
	env, repository := h.Pin.Env, fmt.Sprintf("%s/environments/%s", h.server, h.Pin.Env)
	set := func(name, value string) {
		if value != "" {
			out = append(out, "CHARTCTL_"+name+"="+value)
		}
	}
	set("ENVIRONMENT", env.String())
	set("HUB", env.Hub())
	set("STAGE", env.Stage())
	set("REVISION", fmt.Sprint(h.Pin.Revision))
	set("BINDING", h.Binding.ID.String())
	set("CHART", h.Binding.Name)
	set("VERSION", h.Binding.Version)
	set("CHART_DIGEST", h.Binding.Package.String())
	set("PACKAGE", h.Package)
	set("VALUES", h.Values)
	set("REPOSITORY", repository)
	set("REVISION_REPOSITORY", fmt.Sprintf("%s/revisions/%d", repository, h.Pin.Revision))
	if !h.Binding.Sealed.IsZero() {
		set("SEALED_URL", repository+"/sealed/"+sealedName(h.Binding))
		set("SEALED_DIGEST", h.Binding.Sealed.String())
	}
	for name, value := range images(h.Binding) {
		set(name, value)
	}
	return out
}

// images are the variables of the bound images. A name that two of them would
// have is left out: a wrong image is worse than none.
func images(b api.Binding) map[string]string {
	out, count := map[string]string{}, map[string]int{}
	for _, i := range b.Images {
		name := "IMAGE_" + variable(i.Role)
		r := ref.Reference{Repository: i.Image.Repository, Tag: i.Tag, Digest: i.Image.Digest}
		out[name], out[name+"_DIGEST"] = r.String(), i.Image.Digest.String()
		count[name]++
		count[name+"_DIGEST"]++
	}
	maps.DeleteFunc(out, func(name, _ string) bool { return count[name] > 1 })
	return out
}

// handedNames are the variables that a command gets, without CHARTCTL_.
var handedNames = []string{"ENVIRONMENT", "HUB", "STAGE", "REVISION", "BINDING", "CHART", "VERSION", "CHART_DIGEST",
	"PACKAGE", "VALUES", "REPOSITORY", "REVISION_REPOSITORY", "SEALED_URL", "SEALED_DIGEST"}

func ours(name string) bool {
	name, ok := strings.CutPrefix(name, "CHARTCTL_")
	return ok && (strings.HasPrefix(name, "IMAGE_") || slices.Contains(handedNames, name))
}

// variable makes a role fit for the name of a variable: proxy.chp is PROXY_CHP.
func variable(r ref.Role) string {
	return strings.Map(func(c rune) rune {
		if c == '.' || c == '-' {
			return '_'
		}
		return c
	}, strings.ToUpper(string(r)))
}
