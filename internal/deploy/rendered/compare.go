package rendered

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// NotRendered is what a finding says was found where Helm renders nothing.
const NotRendered = "not rendered"

// look is one environment that is rendered.
type look struct {
	Subject
	chart  *chart
	inside inside
	given  []valuesFile
	as     template
}

// compare renders twice, as the checkout has it and with the pinned images over
// it, and tells what is not the pinned image.
func (r *Render) compare(ctx context.Context, l look) error {
	out, err := r.helm.render(ctx, l.as)
	if refused := (*failure)(nil); errors.As(err, &refused) {
		r.unrendered(l, refused)
		return nil
	}
	if err != nil {
		return err
	}
	is, unread := imagesOf(out)
	for _, text := range unread {
		r.note(l.Subject, "a part of what Helm rendered was not looked at: %s", text)
	}
	pinned, err := r.overlaid(ctx, l)
	if err != nil {
		return err
	}
	bad, seen := wrongIn(is, pinned, l.Pair.Images)
	for _, w := range bad {
		r.wrong(l, w)
	}
	for _, i := range l.Pair.Images {
		if !seen[i.Role] {
			r.note(l.Subject, "nothing that Helm renders shows the %s image %s", i.Role, i.Repository)
		}
	}
	return nil
}

// overlaid renders with the pinned images over all values. Where that cannot
// be, what is not found by its repository is not found.
func (r *Render) overlaid(ctx context.Context, l look) (images, error) {
	t := l.as
	for n, i := range l.Pair.Images {
		tree, err := overlayOf(l.inside, i)
		if err != nil {
			r.note(l.Subject, "the %s image is looked for by its repository alone: %v", i.Role, err)
			continue
		}
		file := filepath.Join(r.workshop.temp, fmt.Sprint("pinned", n, ".yaml"))
		text, err := yaml.Marshal(tree)
		if err == nil {
			err = write(file, text)
		}
		if err != nil {
			return images{}, err
		}
		t.values = append(t.values[:len(t.values):len(t.values)], file)
		if len(l.as.args) > 0 { // they come after all files
			t.args = append(t.args[:len(t.args):len(t.args)], settings(tree)...)
		}
	}
	out, err := r.helm.render(ctx, t)
	if refused := (*failure)(nil); errors.As(err, &refused) {
		r.note(l.Subject, "with the pinned images put over all values it does not render, so that images are looked for by their repository alone: %s", refused.said)
		return images{}, nil
	}
	pinned, _ := imagesOf(out)
	return pinned, err
}

// settings are values as arguments of Helm.
func settings(tree any) (out []string) {
	key := strings.NewReplacer(`\`, `\\`, ".", `\.`, ",", `\,`, "=", `\=`)
	scalars(tree, nil, func(keys []string, value string) {
		for i, k := range keys {
			keys[i] = key.Replace(k)
		}
		out = append(out, "--set-string", strings.Join(keys, ".")+"="+strings.ReplaceAll(value, ",", `\,`))
	})
	return out
}

// overlayOf are the values that set one image of the pinned chart.
func overlayOf(in inside, i lockfile.Image) (any, error) {
	text, err := in.pkg.Overlay(map[ref.Role]archive.SealImage{i.Role: {Repository: i.Repository, Tag: i.Tag, Digest: i.Digest}}, "")
	if err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, err
	}
	for n := len(in.keys) - 1; n >= 0; n-- {
		tree = map[string]any{in.keys[n]: tree}
	}
	return tree, nil
}

// wrong tells of an image that is not the pinned one, with the value that
// names it.
func (r *Render) wrong(l look, w wrong) {
	want := imageText(w.image)
	by := r.valueOf(l, w)
	f := verify.Finding{Place: by.place, Found: w.text, Want: want}
	what := fmt.Sprintf("%s shows %s", w.object, w.text)
	if w.container {
		what = fmt.Sprintf("%s runs %s", w.object, w.text)
	}
	f.Message = fmt.Sprintf("%s, and so in what Helm renders %s: pinned is the %s image %s", by.says, what, w.image.Role, want)
	f.Mend = "take the value out, or pin what it says: " + advice.Built.Part(model.Facts{Version: l.inside.version, Images: []model.RoleImage{{Role: w.image.Role, Image: w.text}}})
	if w.weak {
		f.Message = fmt.Sprintf("%s, and so in what Helm renders %s by the tag alone, which does not say which image runs: pinned is %s", by.says, what, want)
		f.Mend = restore(l.Pair)
	}
	r.add(l.Subject, f)
}

// unrendered tells of a chart that Helm refuses.
func (r *Render) unrendered(l look, refused *failure) {
	said := strings.NewReplacer(l.chart.path, l.chart.name, r.workshop.temp, "TEMP").Replace(refused.said)
	f := verify.Finding{Place: l.inside.place, Found: NotRendered, Want: l.Pair.Chart.Name + " " + l.Pair.Chart.Version,
		Mend: "correct what Helm complains of; values that are not in the checkout are given with --values FILE"}
	for _, file := range l.given {
		if strings.Contains(said, file.path) {
			f.Place = verify.Place{File: file.name}
			said = strings.ReplaceAll(said, file.path, file.name)
		}
	}
	f.Message = fmt.Sprintf("Helm does not render %s: %s", l.chart.name, said)
	r.add(l.Subject, f)
	r.byValues(l)
}

// byValues compares the values themselves, where Helm renders nothing.
func (r *Render) byValues(l look) {
	sources := r.sources(l)
	for _, i := range l.Pair.Images {
		others := otherValues(sources, l.inside, i)
		if len(others) == 0 {
			continue
		}
		by, want := others[0].says(), imageText(i)
		r.add(l.Subject, verify.Finding{Place: by.place, Found: others[0].node.Value, Want: want, Mend: restore(l.Pair),
			Message: fmt.Sprintf("%s: pinned is the %s image %s", by.says, i.Role, want)})
	}
}

func imageText(i lockfile.Image) string {
	return ref.Reference{Repository: i.Repository, Tag: i.Tag, Digest: i.Digest}.String()
}

// restore is the command that writes the pinned pair into the files again.
func restore(e lockfile.Entry) string {
	return advice.Restore.Part(model.Facts{Binding: e.Binding})
}
