package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/sealing"
)

func (a *app) show() *cobra.Command {
	var seal bool
	var binding string
	c := &cobra.Command{
		Use:   "show NAME[@VERSION]",
		Short: "Show a chart version: its images, bindings and their evidence",
		Long: `Show prints what is known of one chart version (the latest without VERSION):
the images that its values name, those that it shows when it is rendered, with where
and from which values, and each binding with its evidence.

With --seal it downloads the original and the sealed package of the default
binding (or of --binding), checks both digests, and proves here, without
trusting the server, that they differ in nothing but the image references that
sealing wrote and the templates that refuse another image. Anything else is a
mismatch, exit 8.`,
		Example: `  chartctl show jupyterhub
  chartctl show jupyterhub@3.3.7 -o json
  chartctl show jupyterhub@3.3.7 --seal`,
		Args: args(1, 1),
	}
	c.Flags().BoolVar(&seal, "seal", false, "prove the sealed package equal to the original but for the images")
	c.Flags().StringVar(&binding, "binding", "", "with --seal: this binding instead of the default one")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		if binding != "" && !seal {
			return usage("--binding is for --seal")
		}
		name, version, ok := strings.Cut(args[0], "@")
		if !ok {
			version = "latest"
		}
		if name == "" || version == "" {
			return usage("chart version %q is not NAME or NAME@VERSION", args[0])
		}
		ch, err := c.Chart(ctx, name, version)
		if err != nil {
			return move.Unpublished(err, name)
		}
		if seal {
			return a.showSeal(ctx, c, ch, binding)
		}
		v, err := ref.ParseImported(ch.Name, ch.Version)
		if err != nil {
			return err
		}
		bindings, err := c.Bindings(ctx, v)
		if err != nil {
			return err
		}
		return a.print(ch, func(w *writer) { chartSheet(w, ch, bindings.Bindings) })
	})
	c.ValidArgsFunction = a.completeCharts
	return c
}

func chartSheet(w *writer, c api.Chart, bindings []api.Binding) {
	w.field("chart", c.Name+"@"+c.Version)
	w.field("app version", c.AppVersion)
	w.field("description", cut(clean(c.Description), 200))
	w.field("state", c.State.String())
	w.field("reason", c.Reason)
	published := when(c.Created) + " by " + cmp.Or(c.By, "unknown") + fmt.Sprintf(", sequence %d", c.Seq)
	if c.Imported {
		published += ", imported"
	}
	if c.OrderUnknown {
		published += ", order unknown"
	}
	w.field("published", published)
	w.field("package", fmt.Sprintf("%s (%s)", c.Package, size(c.Size)))
	w.field("content", c.Content.String())
	if c.Provenance {
		w.field("provenance", "yes")
	}
	for _, s := range c.Warnings {
		w.field("warning", s)
	}
	if len(c.Images) > 0 {
		w.line("images in its values:")
	}
	for _, i := range c.Images {
		mark := ""
		if i.Required {
			mark = " (required)"
		}
		image := i.Repository + ":" + i.Tag
		if i.Digest != "" {
			image += "@" + i.Digest
		}
		w.line("  %-12s %s%s", i.Role, image, mark)
	}
	renderingOf(w, c.Rendering)
	w.field("unbound", c.Unbound)
	if len(bindings) == 0 && c.Unbound == "" {
		w.field("bindings", "none; bind it with chartctl bind "+c.Name+"@"+c.Version)
	}
	for _, b := range bindings {
		what := "binding"
		if c.Binding != nil && c.Binding.ID == b.ID {
			what = "binding *"
		}
		w.field(what, b.ID.String())
		bindingBody(w, b)
	}
}

// bindingBody is indented under the binding's identity.
func bindingBody(w *writer, b api.Binding) {
	w.line("  %s by evidence %s, %s by %s", b.State, cmp.Or(string(b.Evidence), "none"), when(b.At), b.By)
	if b.Reason != "" {
		w.line("  reason: %s", b.Reason)
	}
	for _, i := range b.Images {
		w.line("  %-12s %s (%s)", i.Role, i.Tagged(), i.Evidence)
		w.line("  %-12s %s", "", i.Image.Digest)
		if !i.Base.IsZero() {
			w.line("  %-12s on %s:%s", "", i.Base.Repository, i.BaseTag)
			w.line("  %-12s %s", "", i.Base.Digest)
		}
	}
	for _, clause := range b.Moved {
		w.line("  tag moved: %s", clause)
	}
	switch {
	case !b.Sealed.IsZero():
		w.line("  sealed %s", b.Sealed)
		w.line("  %-12s %s", "", sealText(b, ""))
	case b.Unsealed != "":
		w.line("  no sealed package: %s", b.Unsealed)
	}
}

// sealText says of a binding's sealed package what it is worth; chosen is the
// form that a policy asks for, if one does.
func sealText(b api.Binding, chosen model.Seal) string {
	s := b.Seal
	switch {
	case len(b.Images) == 0:
		return ""
	case b.Sealed.IsZero():
		return "none: " + cmp.Or(b.Unsealed, "no reason is known")
	case s == nil:
		return "not guarded, and not proven by rendering: it was sealed before that was done"
	case s.Unproven != "":
		return "not guarded, and not proven by rendering: " + s.Unproven
	case s.Unguarded != "":
		return "proven by rendering, not guarded: " + s.Unguarded
	case !s.Guarded(b.Sealed) && chosen == model.SealPlain:
		return "proven by rendering, not guarded, by the policy"
	}
	return "proven by rendering, guarded"
}

func (a *app) showSeal(ctx context.Context, c *client.Client, ch api.Chart, id string) error {
	b := ch.Binding
	if id != "" {
		bid, err := parseBinding(id)
		if err != nil {
			return err
		}
		got, err := c.Binding(ctx, bid)
		if err != nil {
			return err
		}
		if got.Name != ch.Name || got.Version != ch.Version {
			return usage("binding %q is of %s@%s, not of %s@%s", id, got.Name, got.Version, ch.Name, ch.Version)
		}
		b = &got
	}
	if b == nil {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s@%s is bound to no images, so nothing is sealed", ch.Name, ch.Version)}
	}
	original, err := c.Package(ctx, ch)
	if err != nil {
		return err
	}
	sealed, err := c.Sealed(ctx, *b)
	if err != nil {
		return err
	}
	d, err := compareSeal(*b, original, sealed)
	if err != nil {
		return &api.Error{Code: api.CodeMismatch, Message: fmt.Sprintf("the sealed package of %s@%s is not the original: %v", ch.Name, ch.Version, err)}
	}
	proof := client.SealProof{Original: ch.Package, Sealed: b.Sealed, Splices: []client.Splice{}, Added: d.Added}
	for _, s := range d.Splices {
		proof.Splices = append(proof.Splices, client.Splice{File: s.File, Path: s.Path, From: s.From, To: s.To})
	}
	return a.print(proof, func(w *writer) {
		w.field("original", proof.Original.String())
		w.field("sealed", proof.Sealed.String())
		w.line("The two differ in nothing but:")
		for _, s := range proof.Splices {
			w.line("  %s  %s", s.File, s.Path)
			w.line("    - %s", s.From)
			w.line("    + %s", s.To)
		}
		for _, name := range proof.Added {
			w.line("  %s  added: it refuses to render another image", name)
		}
	})
}

// compareSeal checks a sealed package against its original and the record of
// how it was made, whose guards have to be of the bound images.
func compareSeal(b api.Binding, original, sealed []byte) (archive.Difference, error) {
	var data []byte
	if b.Seal != nil {
		data = b.Seal.Record
	}
	record, err := sealing.Parse(data)
	if err != nil {
		return archive.Difference{}, err
	}
	var images []archive.SealImage
	for _, i := range b.Images {
		images = append(images, archive.SealImageOf(i.Image, i.Tag))
	}
	return record.Compare(original, sealed, images, archive.Options{Limits: archive.DefaultLimits(), Lenient: true})
}
