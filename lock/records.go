package lock

import (
	"slices"

	"chartd.dev/chartd/lock/kept"
)

// keptRecords is how many of each kind below are kept.
const keptRecords = 1 << 10

// The records that every pin reads.
var (
	decodedEnvironments = kept.NewRecords(keptRecords, func(e Environment) Environment {
		e.Halts, e.Approved = slices.Clone(e.Halts), slices.Clone(e.Approved) // a change edits them in place
		return e
	})
	decodedPins     = kept.NewRecords[Pin](keptRecords, nil)
	decodedBindings = kept.NewRecords(keptRecords, func(b Binding) Binding {
		b.Images, b.Moved = slices.Clip(b.Images), slices.Clip(b.Moved)
		return b
	})
	decodedCharts = kept.NewRecords(keptRecords, func(v ChartVersion) ChartVersion {
		v.Bindings = slices.Clip(v.Bindings)
		return v
	})
)
