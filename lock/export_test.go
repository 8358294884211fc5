package lock

// Bugs that a test can seed into the gate.
const (
	NoHalts       = noHalts
	DatedSoak     = datedSoak
	SelfApprovals = selfApprovals
)

// Seed makes the gate wrong.
func (l *Lockfile) Seed(b bug) { l.bug = b }
