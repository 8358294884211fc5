package advice

import "slices"

// Lines are all command lines that anybody is told.
func Lines() []Line { return slices.Clone(lines) }

var lines []Line

// line is one of the lines.
func line(words string) Line {
	l := Line("chartctl " + words)
	lines = append(lines, l)
	return l
}

// Of environments and pins.
var (
	Bump              = line("bump {env}")
	BumpLatest        = line("bump {env} --latest")
	AnyBump           = line("bump")
	BumpBinding       = line("bump {env} --binding {binding}{group}")
	BumpNoFiles       = line("bump {env} --binding {binding} --no-files")
	BumpGroup         = line("bump {env} --group")
	BumpVersion       = line("bump {env} --version {version}")
	BumpImages        = line("bump {env} --version {version}{images}{group}")
	BumpFix           = line("bump {env} --fix --version V")
	BumpDowngrade     = line(`bump {env} --binding {binding} --downgrade "…"`)
	Promote           = line("promote {from} {env}")
	Rollback          = line("rollback {env}")
	RollbackTo        = line("rollback {env} --to {revision}")
	RollbackDowngrade = line(`rollback {env} --to {revision} --downgrade "…"`)
	EnvList           = line("env list")
	EnvCreate         = line("env create {env} --chart {name}")
	EnvAdopt          = line("env adopt {env} --version V --image ROLE=REFERENCE --reason R")
	EnvSet            = line("env set")
	EnvSetFromRepo    = line("env set --from-repo")
	EnvSetDryRun      = line("env set --from-repo --dry-run")
	History           = line("history {env}")
	Status            = line("status")
	Diff              = line("diff {env} {chart}")
	Deploy            = line("deploy {env} -- COMMAND")
	AnyDeploy         = line("deploy")
	Redeploy          = line("deploy {env}") // as it was deployed before
)

// Of a deploy repo, whose environments may share files ({group}).
var (
	Init           = line("init")
	Verify         = line("verify")
	VerifyOffline  = line("verify --offline")
	Recover        = line("recover")
	RecoverAt      = line("recover --server {server}")
	RecoverDiscard = line("recover --discard")
	LockResolve    = line("lock resolve")
	LockOfBranch   = line("lock resolve --branch {branch}")
	Apply          = line("apply")
	ApplyDowngrade = line(`apply --downgrade "…"`)
	FirstBump      = line("bump {env} --version V{group}")
	Built          = line("bump {env}{group} --version {version}{images}")
	TakeLatest     = line("bump {env}{group} --latest")
	TakeBinding    = line("bump {env}{group} --binding {binding}")
	Restore        = line("bump {env}{group} --allow-dirty --binding {binding}")
	MoveChart      = line("bump {env}{group} --allow-dirty --version {version}")
	MoveBoth       = line("bump {env}{group} --allow-dirty --version {version}{images}")
	Prepare        = line("bump {env}{group} --prepare --version {version}")
)

// Of reports and the gate.
var (
	Approve   = line("approve {env} --binding {binding}")
	Gate      = line("gate {env} --binding {binding}")
	Why       = line("why {env}")
	Report    = line("report {env} --revision {revision} --{verdict}")
	Passed    = line("report {env} --revision {revision} --passed")
	Halts     = line("halts")
	AllHalts  = line("halts --all")
	ResolveBy = line("resolve {halt} --reason R")
	Resolve   = line(`resolve {halt} --reason "…"`)
)

// Of access.
var (
	Login       = line("login {server}")
	TokenList   = line("token list")
	TokenCreate = line("token create {name}")
)

// Of charts and bindings.
var (
	Charts      = line("charts {name}")
	Show        = line("show {chart}")
	Bind        = line("bind {chart}")
	AnyBind     = line("bind")
	AnyImport   = line("import")
	BindImages  = line("bind {chart}{images}")
	Declare     = line(`bind {chart}{images} --declare --reason "…"`)
	BindUnbound = line("bind --unbound {name}")
)
