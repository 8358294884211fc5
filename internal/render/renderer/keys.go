package renderer

import (
	"fmt"
	"regexp"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// Making a key takes a hundred times as long as all else that a chart does, and
// a trace renders a chart a hundred times. So it makes one, and writes it in the
// place of the functions that would make another.

var (
	makesCertificate = regexp.MustCompile(`\bgen(CA|SignedCert|SelfSignedCert)(WithKey)?\b`)
	makesKey         = regexp.MustCompile(`\bgenPrivateKey\b`)
)

// withOneKey is a chart whose templates have a key given where they would make
// one. It is the chart itself where they make none.
func withOneKey(c *chart.Chart) (*chart.Chart, error) {
	if !makesKeys(c) {
		return c, nil
	}
	maker := &chart.Chart{
		Metadata:  &chart.Metadata{Name: "maker"},
		Templates: []*chart.File{{Name: "key", Data: []byte(`{{ $c := genCA "release-name" 365 }}{{ printf "%q %q" $c.Cert $c.Key }}`)}},
	}
	files, err := engine.Render(maker, chartutil.Values{})
	if err != nil {
		return nil, err
	}
	var cert, key string
	if _, err := fmt.Sscanf(files["maker/key"], "%q %q", &cert, &key); err != nil {
		return nil, fmt.Errorf("read the key that Helm made: %w", err)
	}
	// Both take whatever arguments stand behind the name.
	return replaced(c, fmt.Sprintf("dict %q %q %q %q", "Cert", cert, "Key", key), fmt.Sprintf("coalesce %q", key)), nil
}

func makesKeys(c *chart.Chart) bool {
	found := false
	charts(c, func(c *chart.Chart) {
		for _, f := range c.Templates {
			found = found || makesCertificate.Match(f.Data) || makesKey.Match(f.Data)
		}
	})
	return found
}

// replaced is a copy of a chart with other words for what makes a certificate
// and what makes a key.
func replaced(c *chart.Chart, certificate, key string) *chart.Chart {
	out := *c
	out.Templates = make([]*chart.File, len(c.Templates))
	for i, f := range c.Templates {
		data := makesCertificate.ReplaceAllLiteral(f.Data, []byte(certificate))
		out.Templates[i] = &chart.File{Name: f.Name, Data: makesKey.ReplaceAllLiteral(data, []byte(key))}
	}
	subs := make([]*chart.Chart, 0, len(c.Dependencies()))
	for _, d := range c.Dependencies() {
		subs = append(subs, replaced(d, certificate, key))
	}
	out.SetDependencies(subs...)
	return &out
}
