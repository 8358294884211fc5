package server

import "chartd.dev/chartd/internal/auth"

// kind says how a route is guarded.
type kind int

const (
	open   kind = iota // no credential is looked at
	anyone             // any principal, the anonymous one too; a bad credential is still refused
	scoped             // the scope, on the object that the path names
	inner              // the scope on some object; the handler checks it on the one it has parsed
)

// on says which object of the path a scope is about.
type on int

const (
	noObject on = iota
	chartInPath
	envInPath
)

// access is a route's rule.
type access struct {
	kind   kind
	action auth.Action
	on     on
}

var (
	openToAll = access{kind: open}
	toAnyone  = access{kind: anyone}
	reads     = access{kind: scoped, action: auth.Read}
)

func needs(a auth.Action) access         { return access{kind: scoped, action: a} }
func needsOnChart(a auth.Action) access  { return access{kind: scoped, action: a, on: chartInPath} }
func needsOnEnv(a auth.Action) access    { return access{kind: scoped, action: a, on: envInPath} }
func needsOnParsed(a auth.Action) access { return access{kind: inner, action: a} }

func (a access) check(c *call) error {
	switch a.kind {
	case open, anyone:
		return nil
	case inner:
		return c.who.RequireSome(a.action)
	}
	object := ""
	switch a.on {
	case chartInPath:
		object = c.Var("name")
	case envInPath:
		// Without the scope on any environment the name is not even judged.
		if err := c.who.RequireSome(a.action); err != nil {
			return err
		}
		if err := c.readEnv(); err != nil {
			return err
		}
		object = c.env.String()
	}
	return c.who.Require(a.action, object)
}
