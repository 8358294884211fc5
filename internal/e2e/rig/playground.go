package rig

import (
	"context"
	"os"
	"path/filepath"

	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// Playground is what the tutorial works on: a registry with a few small
// images, a chartd that reads them, and charts to publish.
type Playground struct {
	Dir      string // home and working directory of the person
	Registry *Registry
	Server   *Server
	Env      []string // of the person's shell
}

// StartPlayground builds the programs and starts everything below dir.
func StartPlayground(ctx context.Context, dir string) (*Playground, error) {
	p := &Playground{Dir: filepath.Join(dir, "home")}
	root, err := testtools.Root()
	if err != nil {
		return nil, err
	}
	bin := filepath.Join(dir, "bin")
	for _, d := range []string{p.Dir, bin} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	if err := linkPrograms(ctx, bin); err != nil {
		return nil, err
	}
	if p.Registry, err = StartRegistry(ctx, dir); err != nil {
		return nil, err
	}
	if err := p.fill(ctx, root); err != nil {
		p.Stop()
		return nil, err
	}
	p.Server, err = Start(ctx, ServerConfig{Binary: filepath.Join(bin, "chartd"), Data: filepath.Join(dir, "data"), Args: p.Registry.Flags()})
	if err != nil {
		p.Stop()
		return nil, err
	}
	p.Env = []string{
		"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + p.Dir, "TERM=dumb",
		"CHARTD_URL=" + p.Server.URL, "CHARTD_DATA=" + p.Server.Data, "REGISTRY=" + p.Registry.Addr,
	}
	return p, nil
}

// Stop ends what was started.
func (p *Playground) Stop() {
	if p.Server != nil {
		p.Server.Stop()
	}
	p.Registry.Stop()
}

func linkPrograms(ctx context.Context, bin string) error {
	for _, name := range []string{"chartd", "chartctl", "helm", "helm3"} {
		var path string
		var err error
		switch name {
		case "helm":
			path, err = testtools.BuildHelm(ctx, 4)
		case "helm3":
			path, err = testtools.BuildHelm(ctx, 3)
		default:
			path, err = testtools.BuildProject(ctx, name, "")
		}
		if err == nil {
			err = os.Symlink(path, filepath.Join(bin, name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fill pushes hub images for three chart versions and a campus's own ones,
// built on them, and writes the charts.
func (p *Playground) fill(ctx context.Context, root string) error {
	base := map[string]registrytest.Image{}
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		base[v] = registrytest.Make("system", "hub "+v)
		if _, err := base[v].Push(ctx, p.Registry.Addr+"/example/hub:"+v); err != nil {
			return err
		}
		if _, err := (Hub{Version: v}).Write(root, filepath.Join(p.Dir, "charts", v)); err != nil {
			return err
		}
	}
	for tag, on := range map[string]string{"2026.1": "1.0.0", "2026.2": "1.1.0", "2026.3-not-rebuilt": "1.1.0"} {
		img := registrytest.From(base[on], "campus extras "+tag)
		if _, err := img.Push(ctx, p.Registry.Addr+"/campus/hub:"+tag); err != nil {
			return err
		}
	}
	return nil
}
