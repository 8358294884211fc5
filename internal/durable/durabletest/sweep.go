package durabletest

import "testing"

// Sweep puts each fault in each place: every action at the first, second,
// third … call of every system call, until one no longer comes to pass.
type Sweep struct {
	Calls   []string
	Actions []string

	// Most limits how many calls of each kind are tried; 0: all of them.
	Most int
	// Misses is how many faults in a row have to miss before the last call of
	// a kind counts as found. A program whose work moves between threads, each
	// counted by itself, needs more than 1.
	Misses int
	// Skip says which faults make no sense; nil: none.
	Skip func(call, action string) bool

	// Case sets up, runs the program with the fault and checks what is left.
	// It adds Paths to the fault as it needs them.
	Case func(t *testing.T, f Fault) Result
}

// Run tries all faults, as parallel subtests, and fails where one of a kind
// never came to pass: a call that is not made needs no place in Calls.
func (s Sweep) Run(t *testing.T) {
	for _, call := range s.Calls {
		for _, action := range s.Actions {
			if s.Skip != nil && s.Skip(call, action) {
				continue
			}
			t.Run(call+"/"+action, func(t *testing.T) {
				t.Parallel()
				s.try(t, Fault{Syscall: call, Action: action})
			})
		}
	}
}

func (s Sweep) try(t *testing.T, f Fault) {
	came, missed := 0, 0
	for f.When = 1; s.Most == 0 || f.When <= s.Most; f.When++ {
		if s.Case(t, f).Injected {
			came, missed = came+1, 0
			continue
		}
		if missed++; missed >= max(s.Misses, 1) {
			break
		}
	}
	if came == 0 {
		t.Errorf("%v never came to pass", f)
	}
	t.Logf("%d faults", came)
}
