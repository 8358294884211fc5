//go:build !chartd_seeded

package boltstore

// seededFault and seededWait do nothing in a real build.
func (g *group) seededFault() (committed func()) { return func() {} }

func seededWait() bool { return false }
