package server

import (
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/transport"
)

// Limits are what one caller may ask for: a token, or an address where there
// is no valid one.
type Limits struct {
	FailedAuth transport.Rate // credentials that are no valid token, of an address
	Publish    transport.Rate // uploads: packages, provenance files, imports
	Pin        transport.Rate
	Read       transport.Rate
}

// limits are those of all routes.
type limits struct{ publish, pin, read *transport.Limit }

func newLimits(c Limits, m *transport.Metrics) limits {
	return limits{
		publish: transport.NewLimit("publish", c.Publish, m),
		pin:     transport.NewLimit("pin", c.Pin, m),
		read:    transport.NewLimit("read", c.Read, m),
	}
}

// of is the limit of a route; nil: none. Probes have none, and neither has
// what few people do seldom.
func (l limits) of(a access) *transport.Limit {
	switch {
	case a.kind == open:
	case a.kind == anyone || a.action == auth.Read:
		return l.read
	case a.action == auth.Publish || a.action == auth.Import:
		return l.publish
	case a.action == auth.Pin:
		return l.pin
	}
	return nil
}
