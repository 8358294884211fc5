package archive

import "chartd.dev/chartd/internal/ref"

// Overlay returns a values file that puts the images over the chart's own. A
// prefix is the name under which a wrapper has the chart.
func (p *Package) Overlay(want map[ref.Role]SealImage, prefix string) ([]byte, error) {
	return nil, malformed("overlay", "not yet")
}
