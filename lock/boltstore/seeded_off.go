//go:build !chartd_seeded

package boltstore

// seededFault does nothing in a real build.
func (g *group) seededFault() {}
