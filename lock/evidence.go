package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sort"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// Candidate is an image proposed for a role of a chart version, with what the
// registry said of it and of the image that the chart itself names there.
type Candidate struct {
	Role     ref.Role
	Required bool
	Image    Image
	Tag      string // the tag it was given with, "" if there was none
	ByDigest bool   // the digest was given too: nothing was learnt of the tag

	// Own is the image that the chart which owns the templates names for this
	// role; nil if the chart names none or it could not be read.
	Own       *Image
	OwnRef    ref.Reference // zero if the chart names none
	OwnReason string        // why Own could not be read
	Unshown   bool          // no rendering of the chart shows Own: only its values name it
}

// judge finds the strongest evidence that the image belongs to the chart, or
// says why there is none.
func judge(t store.Tx, c Candidate, nb NewBinding) (model.Evidence, error) {
	if c.Own != nil {
		if c.Own.Image.Digest == c.Image.Image.Digest {
			return c.named(), nil
		}
		if builtOn(c.Image, *c.Own) {
			return model.BaseLayers, nil
		}
		// For what a chart version is for, no declaration passes an image that was
		// built on another base.
		if c.Role.IsOwn() || !nb.Declare {
			return "", otherBase(t, c, nb)
		}
	}
	weak := model.Evidence("")
	if ok, err := labelled(t, c); err != nil {
		return "", err
	} else if ok {
		weak = model.BaseLabel
	}
	if nb.Declare {
		weak = model.Declared
	}
	if weak == "" {
		return "", unread(c, nb)
	}
	bases, err := basesOf(t, c.Image)
	if err != nil {
		return "", err
	}
	if len(bases) > 0 && !matches(bases, c, nb.Chart) {
		return "", otherBase(t, c, nb)
	}
	return weak, nil
}

// named is the evidence of the image that the chart itself names.
func (c Candidate) named() model.Evidence {
	if c.Unshown {
		return model.ValuesOnly
	}
	return model.ChartValues
}

// builtOn reports whether image was built on base: for every platform of
// image, the layers of base on that platform come first.
func builtOn(image, base Image) bool {
	if len(image.Platforms) == 0 {
		return false
	}
	for _, p := range image.Platforms {
		q := platform(base, p.Platform)
		if q == nil || len(q.DiffIDs) == 0 || len(q.DiffIDs) > len(p.DiffIDs) {
			return false
		}
		for i, d := range q.DiffIDs {
			if p.DiffIDs[i] != d {
				return false
			}
		}
	}
	return true
}

func platform(image Image, name string) *Platform {
	for i := range image.Platforms {
		if image.Platforms[i].Platform == name {
			return &image.Platforms[i]
		}
	}
	return nil
}

// labelled reports whether the image's own label claims the chart's image as
// its base. Anybody can write a label.
func labelled(t store.Tx, c Candidate) (bool, error) {
	if c.OwnRef.Repository.IsZero() {
		return false, nil
	}
	digest := c.Image.Labels["org.opencontainers.image.base.digest"]
	if digest == "" {
		return false, nil
	}
	if c.OwnRef.Digest.String() == digest {
		return true, nil
	}
	seen, err := observations(t, c.OwnRef.Repository, c.OwnRef.Tag)
	for _, o := range seen {
		if o.Digest.String() == digest {
			return true, err
		}
	}
	return false, err
}

func otherBase(t store.Tx, c Candidate, nb NewBinding) error {
	own := c.OwnRef.String()
	if c.Own != nil {
		own += " (" + short(c.Own.Image.Digest) + ")"
	}
	found := "on something else"
	bases, err := basesOf(t, c.Image)
	if err != nil {
		return err
	}
	if len(bases) > 0 {
		found = "on " + bases[0].Name + ", the " + string(bases[0].Role) + " image of " + bases[0].chart.String()
	}
	found = "it was built " + found
	if len(bases) > 0 && bases[0].Image.Digest == c.Image.Image.Digest {
		found = "it is the " + string(bases[0].Role) + " image of " + bases[0].chart.String() + " itself"
	}
	facts := fmt.Sprintf("image %s was not built on the %s image of %s: expected base %s, and %s", c.name(), c.Role, nb.Chart, own, found)
	no := &Refusal{Rule: model.RuleBase, Facts: facts, Need: situation(model.NeedRebuild, model.Facts{Base: c.OwnRef.String()})}
	if own == "" {
		no.Facts = fmt.Sprintf("image %s was not made for %s: %s", c.name(), nb.Chart, found)
		no.Need = situation(model.NeedItsVersion, model.Facts{})
	}
	return no
}

func unread(c Candidate, nb NewBinding) error {
	facts := model.Facts{Chart: nb.Chart, Images: []model.RoleImage{{Role: c.Role, Image: c.name()}}}
	if c.OwnRef.Repository.IsZero() {
		return &Refusal{
			Rule:  model.RuleEvidence,
			Facts: fmt.Sprintf("%s names no image for role %q, so nothing proves that %s belongs to it", nb.Chart, c.Role, c.name()),
			Need:  situation(model.NeedDeclaration, facts),
		}
	}
	return &Refusal{
		Rule:  model.RuleEvidence,
		Facts: fmt.Sprintf("the base of %s is unknown: the %s image that %s names, %s, could not be read (%s)", c.name(), c.Role, nb.Chart, c.OwnRef, c.OwnReason),
		Need:  situation(model.NeedRegistry, facts),
	}
}

// seenTag is the tag behind which the registry showed the image.
func (c Candidate) seenTag() string {
	if c.ByDigest {
		return ""
	}
	return c.Tag
}

func (c Candidate) ownTag() string {
	if !c.OwnRef.Digest.IsZero() {
		return ""
	}
	return c.OwnRef.Tag
}

func (c Candidate) name() string {
	if c.Tag != "" {
		return c.Image.Image.Repository.String() + ":" + c.Tag
	}
	return c.Image.Image.String()
}

func short(d ref.Digest) string { return "sha256:" + d.Hex()[:12] }

// base is a chart's own image, found again by its layers.
type base struct {
	Name  string    `json:"name"` // repository:tag as the chart names it
	Image ref.Image `json:"image"`
	Role  ref.Role  `json:"role"`
	chart ref.ChartVersion
}

// chains returns the identity of each prefix of the platform's layers,
// shortest first.
func chains(p Platform) []string {
	out := make([]string, 0, len(p.DiffIDs))
	sum := sha256.Sum256([]byte(p.Platform))
	for _, d := range p.DiffIDs {
		sum = sha256.Sum256(append(sum[:], d.Hex()...))
		out = append(out, hex.EncodeToString(sum[:]))
	}
	return out
}

// basesOf returns the chart images that image was built on: those with the
// most layers in common. The first platform decides.
func basesOf(t store.Tx, image Image) ([]base, error) {
	if len(image.Platforms) == 0 {
		return nil, nil
	}
	all := chains(image.Platforms[0])
	for i := len(all) - 1; i >= 0; i-- {
		var found []base
		err := t.Scan(bucketBases, store.ScanOptions{Prefix: all[i] + "\x00"}, func(k string, raw []byte) error {
			var b base
			if err := kept.Decode(bucketBases, k, raw, &b); err != nil {
				return err
			}
			if err := b.chart.UnmarshalText([]byte(strings.SplitN(k, "\x00", 3)[1])); err != nil {
				return fmt.Errorf("%w: %v", store.ErrDamaged, err)
			}
			found = append(found, b)
			return nil
		})
		if err != nil || len(found) > 0 {
			sort.Slice(found, func(i, j int) bool { return found[i].chart.String() < found[j].chart.String() })
			return found, err
		}
	}
	return nil, nil
}

// matches reports whether one of the bases is this chart version's, or has the
// name that this chart version gives its own image.
func matches(bases []base, c Candidate, chart ref.ChartVersion) bool {
	for _, b := range bases {
		if b.chart == chart || b.Name == c.OwnRef.String() && b.Name != "" {
			return true
		}
	}
	return false
}

// keepBase makes the chart's own image findable by its layers.
func keepBase(c *change, chart ref.ChartVersion, cand Candidate) error {
	if cand.Own == nil {
		return nil
	}
	var err error
	for _, p := range cand.Own.Platforms {
		all := chains(p)
		if len(all) == 0 {
			continue
		}
		key := all[len(all)-1] + "\x00" + chart.String() + "\x00" + string(cand.Role)
		err = errors.Join(err, put(c, bucketBases, key, base{Name: cand.OwnRef.String(), Image: cand.Own.Image, Role: cand.Role}))
	}
	return err
}
