//go:build chartd_seeded

package boltstore

// seededFault answers before the commit: the fault that the kill loop has to
// find. Only a build with the tag chartd_seeded has it.
func (g *group) seededFault() {
	for _, r := range g.requests {
		close(r.done)
	}
	g.requests = nil
}
