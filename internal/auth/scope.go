// Package auth says who a caller is and what it may do. Its invariants: a
// credential is a token and nothing else; no scope implies another, except
// that every token also reads; a token's text is never kept, only its hash; a
// revoked or expired token is refused from the next request on, and writes no more.
package auth

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ErrScope says that a scope is not well formed.
var ErrScope = errors.New("invalid scope")

// Action is the verb of a scope.
type Action string

// The actions. No one implies another; nothing overwrites a chart version, so
// there is no action for it.
const (
	Read       Action = "read"
	Publish    Action = "publish"     // a chart
	Import     Action = "import"      // charts of an existing repository, with their dates
	Bind       Action = "bind"        // a chart; also revoking a binding
	Yank       Action = "yank"        // a chart
	Purge      Action = "purge"       // a chart
	Pin        Action = "pin"         // an environment
	Report     Action = "report"      // an environment
	Approve    Action = "approve"     // an environment
	Override   Action = "override"    // an environment
	BreakGlass Action = "break-glass" // an environment
	Env        Action = "env"         // create, adopt, policy
	Audit      Action = "audit"       // read the journal
	Admin      Action = "admin"       // tokens, backup, check
)

// subject is what an action's glob selects.
type subject int

const (
	nothing subject = iota
	charts
	environments
)

var actions = []struct {
	action Action
	on     subject
}{
	{Read, nothing}, {Publish, charts}, {Import, nothing}, {Bind, charts}, {Yank, charts}, {Purge, charts},
	{Pin, environments}, {Report, environments}, {Approve, environments}, {Override, environments}, {BreakGlass, environments},
	{Env, nothing}, {Audit, nothing}, {Admin, nothing},
}

// Scope is one permission: an action, and a glob where the action has an
// object. In a glob only "*" is special. It stands for any characters within a
// chart's name, or within the hub or the stage of an environment, and does not
// cross the slash; "*" alone stands for everything.
type Scope struct {
	Action Action
	Glob   string // "" where the action has no object
}

// ParseScope reads "action" or "action:glob".
func ParseScope(s string) (Scope, error) {
	name, glob, hasGlob := strings.Cut(s, ":")
	for _, a := range actions {
		if string(a.action) != name {
			continue
		}
		switch {
		case a.on == nothing && hasGlob:
			return Scope{}, fmt.Errorf("%w %q: %s takes no glob, write %q", ErrScope, short(s), name, name)
		case a.on == nothing:
			return Scope{Action: a.action}, nil
		case !hasGlob || !validGlob(glob, a.on):
			return Scope{}, fmt.Errorf("%w %q: want %s:GLOB with %s", ErrScope, short(s), name, a.on)
		}
		return Scope{Action: a.action, Glob: glob}, nil
	}
	return Scope{}, fmt.Errorf("%w %q: want one of %s", ErrScope, short(s), strings.Join(scopeForms(), ", "))
}

// ParseScopes reads a list, which may not be empty, and drops repetitions.
func ParseScopes(list []string) ([]Scope, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: no scope given, want at least one of %s", ErrScope, strings.Join(scopeForms(), ", "))
	}
	var out []Scope
	for _, s := range list {
		sc, err := ParseScope(s)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(out, sc) {
			out = append(out, sc)
		}
	}
	return out, nil
}

// AllScopes is every scope there is, each on everything.
func AllScopes() []Scope {
	out := make([]Scope, 0, len(actions))
	for _, a := range actions {
		sc := Scope{Action: a.action}
		if a.on != nothing {
			sc.Glob = "*"
		}
		out = append(out, sc)
	}
	return out
}

// String is the form that ParseScope reads.
func (s Scope) String() string {
	if s.Glob == "" {
		return string(s.Action)
	}
	return string(s.Action) + ":" + s.Glob
}

// allows reports whether the scope covers an action on an object: a chart's
// name, "hub/stage", or "" where the action has none.
func (s Scope) allows(a Action, object string) bool {
	if s.Action != a {
		return false
	}
	if s.Glob == "*" || s.Glob == "" {
		return true
	}
	ok, err := path.Match(s.Glob, object)
	return ok && err == nil
}

func (s subject) String() string {
	if s == environments {
		return `a glob of HUB/STAGE such as data8/prod, data8/* or */staging, or * for all`
	}
	return `a glob of chart names such as jupyterhub, payments-* or * for all`
}

func validGlob(glob string, on subject) bool {
	if glob == "*" {
		return true
	}
	if on == environments {
		hub, stage, ok := strings.Cut(glob, "/")
		return ok && globWord(hub, false) && globWord(stage, false)
	}
	return globWord(glob, true)
}

// globWord takes "*" and the characters of a name; imported charts may have
// capitals, dots and underscores in theirs.
func globWord(w string, imported bool) bool {
	if w == "" || len(w) > 128 {
		return false
	}
	for i := 0; i < len(w); i++ {
		c := w[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '*':
		case imported && (c >= 'A' && c <= 'Z' || c == '.' || c == '_'):
		default:
			return false
		}
	}
	return true
}

func scopeForms() []string {
	out := make([]string, 0, len(actions))
	for _, a := range actions {
		switch a.on {
		case charts:
			out = append(out, string(a.action)+":CHART")
		case environments:
			out = append(out, string(a.action)+":HUB/STAGE")
		default:
			out = append(out, string(a.action))
		}
	}
	return out
}

func short(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
