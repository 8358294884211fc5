package server

import (
	"net/http"
	"reflect"
	"slices"

	"chartd.dev/chartd/internal/auth"
)

// route is one line of the table. The OpenAPI document and the access matrix
// of the tests are made from it and from the types of its handler.
type route struct {
	method string // GET answers HEAD too
	path   string // below the base path
	access access
	may    func(*Server, *call) error // refuses what only a look at the object can; nil: nothing
	handler
	name    string // operation id
	summary string
	status  []int    // of success, where it is not what the answer's type has
	upload  bool     // takes one of the upload slots
	waits   bool     // answers when there is something to say
	headers []string // that have to be sent
	accepts []string // headers that may be sent
}

// statuses are those of success, the usual one first.
func (rt *route) statuses() []int {
	switch {
	case rt.status != nil:
		return rt.status
	case rt.out == reflect.TypeFor[none]():
		return []int{http.StatusNoContent}
	case rt.out == reflect.TypeFor[blob]():
		return []int{http.StatusOK, http.StatusPartialContent, http.StatusNotModified}
	case rt.out == reflect.TypeFor[page](), rt.out == reflect.TypeFor[index]():
		return []int{http.StatusOK, http.StatusNotModified}
	}
	return []int{http.StatusOK}
}

// wants reports whether a header has to be sent.
func (rt *route) wants(header string) bool { return slices.Contains(rt.headers, header) }

const (
	get  = http.MethodGet
	post = http.MethodPost
	put  = http.MethodPut
	del  = http.MethodDelete
)

const (
	chartPath   = "/api/v1/charts/{name}/{version}"
	envPath     = "/api/v1/environments/{hub}/{stage}"
	reportPath  = envPath + "/pins/" + pinRevision + "/reports"
	repoPath    = "/environments/{hub}/{stage}"
	pinRevision = "{revision:[0-9]+}"
)

// The preconditions of a pin.
const (
	ifMatch        = "If-Match"
	idempotencyKey = "Idempotency-Key"
)

// routes is the whole table: every path that is answered, what it needs, and
// who answers.
func routes() []route {
	out := probes()
	out = append(out, museum()...)
	out = append(out, chartRoutes()...)
	out = append(out, environmentRoutes()...)
	out = append(out, gateRoutes()...)
	return append(out, adminRoutes()...)
}

func probes() []route {
	return []route{
		{method: get, path: "/healthz", access: openToAll, handler: handle((*Server).healthz), name: "healthz", summary: "The process answers."},
		{method: get, path: "/readyz", access: openToAll, handler: handle((*Server).readyz), name: "readyz", summary: "Writes can be kept; 503 says why not."},
		{method: get, path: "/health", access: openToAll, handler: handle((*Server).healthz), name: "health", summary: "ChartMuseum's health check."},
		{method: get, path: "/info", access: openToAll, handler: handle((*Server).info), name: "info", summary: "The server's version."},
		{method: get, path: "/", access: openToAll, handler: handle((*Server).welcome), name: "welcome", summary: "A page that says how to use the repository."},
	}
}

// museum is ChartMuseum's API, and the index and packages that Helm reads.
func museum() []route {
	return []route{
		{method: get, path: "/index.yaml", access: reads, handler: handle((*Server).wholeIndex), name: "index", summary: "The repository's index, as Helm reads it."},
		{method: get, path: "/charts/{file}", access: reads, handler: handle((*Server).packageFile), name: "package", summary: "A package (.tgz) or its provenance file (.tgz.prov)."},
		{method: get, path: "/charts/{name}/index.yaml", access: reads, handler: handle((*Server).chartIndex), name: "chartIndex", summary: "One chart as a chart repository: what the index says of it."},
		{method: get, path: "/charts/{name}/charts/{file}", access: reads, handler: handle((*Server).chartPackage), name: "chartPackage", summary: "A package, or its provenance file, in the repository of its chart."},
		{method: get, path: "/artifacthub-repo.yml", access: reads, handler: handle((*Server).artifactHub), name: "artifacthub", summary: "Artifact Hub's metadata file, where one is configured."},
		{method: get, path: "/api/charts", access: reads, handler: handle((*Server).museumCharts), name: "museumCharts", summary: "All charts: names to index entries."},
		{method: post, path: "/api/charts", access: needsOnParsed(auth.Publish), handler: handle((*Server).museumPublish), name: "museumPublish", summary: "Publish: multipart chart and prov, or the package as the body. 200 (raw) or 202 (multipart): the same content was there.", status: []int{201, 200, 202}, upload: true},
		{method: post, path: "/api/charts/{name}/charts", access: needsOnChart(auth.Publish), handler: handle((*Server).museumPublish), name: "museumPublishChart", summary: "Publish to the repository of one chart, as helm cm-push does; a package of another chart is refused.", status: []int{201, 200, 202}, upload: true},
		{method: post, path: "/api/prov", access: needsOnParsed(auth.Publish), handler: handle((*Server).museumProv), name: "museumProv", summary: "Add the provenance file of a published package.", status: []int{201}, upload: true},
		{method: get, path: "/api/charts/{name}", access: reads, handler: handle((*Server).museumChart), name: "museumChart", summary: "The index entries of a chart."},
		{method: get, path: "/api/charts/{name}/{version}", access: reads, handler: handle((*Server).museumVersion), name: "museumVersion", summary: "One index entry; the version may be latest."},
		{method: del, path: "/api/charts/{name}/{version}", access: needsOnChart(auth.Yank), handler: handle((*Server).museumDelete), name: "museumDelete", summary: "Yank: the version leaves the index and stays fetchable."},
		{method: get, path: "/api/charts/{name}/{version}/templates", access: reads, handler: handle((*Server).museumTemplates), name: "museumTemplates", summary: "The chart's template files."},
		{method: get, path: "/api/charts/{name}/{version}/values", access: reads, handler: handle((*Server).museumValues), name: "museumValues", summary: "The chart's values.yaml."},
	}
}

func chartRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/charts", access: reads, handler: handle((*Server).listCharts), name: "listCharts", summary: "Chart versions by name, newest publication first."},
		{method: post, path: "/api/v1/charts", access: needsOnParsed(auth.Publish), handler: handle((*Server).publish), name: "publish", summary: "Publish a package: multipart (chart, prov, image, require_binding) or the package as the body.", status: []int{201, 200}, upload: true},
		{method: post, path: "/api/v1/import", access: needs(auth.Import), handler: handle((*Server).importChart), name: "import", summary: "Take over a package of an existing repository: multipart (chart, prov, created, order, requirements).", status: []int{201, 200}, upload: true},
		{method: post, path: "/api/v1/imports", access: needs(auth.Import), handler: handle((*Server).importCharts), name: "imports", summary: "Take over several packages, in the order in which they are sent: multipart (for each: created, order, requirements, prov, provenance, and then chart). Each has its own result.", upload: true},
		{method: get, path: "/api/v1/charts/{name}", access: reads, handler: handle((*Server).chartVersions), name: "chartVersions", summary: "All versions of a chart."},
		{method: get, path: chartPath, access: reads, handler: handle((*Server).chart), name: "chart", summary: "One chart version; the version may be latest."},
		{method: post, path: chartPath + "/yank", access: needsOnChart(auth.Yank), handler: handle((*Server).yank), name: "yank", summary: "Hide a version from the index and from new pins."},
		{method: post, path: chartPath + "/purge", access: needsOnChart(auth.Purge), handler: handle((*Server).purge), name: "purge", summary: "Remove a version's bytes and leave a tombstone."},
		{method: get, path: chartPath + "/bindings", access: reads, handler: handle((*Server).bindings), name: "bindings", summary: "The bindings of a chart version, oldest first."},
		{method: post, path: chartPath + "/bindings", access: needsOnChart(auth.Bind), handler: handle((*Server).bind), name: "bind", summary: "Bind a chart version to its images; 200: that binding existed.", status: []int{201, 200}},
		{method: get, path: "/api/v1/bindings/{id}", access: reads, handler: handle((*Server).binding), name: "binding", summary: "One binding."},
		{method: post, path: "/api/v1/bindings/{id}/revoke", access: needsOnParsed(auth.Bind), may: (*Server).mayRevoke, handler: handle((*Server).revoke), name: "revoke", summary: "Revoke a binding: no new pin may name it."},
		{method: get, path: "/api/v1/bindings/{id}/sealed", access: reads, handler: handle((*Server).sealed), name: "sealed", summary: "The sealed package: the chart with the bound images in its values."},
		{method: get, path: "/api/v1/bindings/{id}/tags", access: reads, handler: handle((*Server).tagsNow), name: "tagsNow", summary: "What the registries have behind the binding's tags now."},
		{method: get, path: "/api/v1/bindings/{id}/seal", access: reads, handler: handle((*Server).sealProof), name: "seal", summary: "Proof that the sealed package is the original but for these bytes."},
	}
}

func environmentRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/environments", access: reads, handler: handle((*Server).environments), name: "environments", summary: "All environments with their pins."},
		{method: post, path: "/api/v1/environments", access: needs(auth.Env), handler: handle((*Server).createEnvironment), name: "createEnvironment", summary: "Create an environment.", status: []int{201}},
		{method: get, path: envPath, access: reads, handler: handle((*Server).environment), name: "environment", summary: "One environment with its pin."},
		{method: post, path: envPath + "/adopt", access: needs(auth.Env), handler: handle((*Server).adopt), name: "adopt", summary: "Make revision 1 from what runs today.", status: []int{201}, headers: []string{idempotencyKey}},
		{method: get, path: envPath + "/pins", access: reads, handler: handle((*Server).pins), name: "pins", summary: "The environment's revisions, newest first."},
		{method: post, path: envPath + "/pins", access: needsOnEnv(auth.Pin), handler: handle((*Server).pin), name: "pin", summary: "Pin a binding: bump, promote or roll back.", status: []int{201}, headers: []string{ifMatch, idempotencyKey}},
		{method: get, path: envPath + "/pins/" + pinRevision, access: reads, handler: handle((*Server).pinAt), name: "pinAt", summary: "One revision."},
		{method: get, path: envPath + "/pins/by-key/{key}", access: reads, handler: handle((*Server).pinByKey), name: "pinByKey", summary: "The pin made under an Idempotency-Key; 404: none was."},
		{method: post, path: "/api/v1/pinsets", access: needsOnParsed(auth.Pin), handler: handle((*Server).pinSet), name: "pinSet", summary: "Pin several environments in one transaction.", status: []int{201}, headers: []string{idempotencyKey}},
		{method: get, path: repoPath + "/index.yaml", access: reads, handler: handle((*Server).envIndex), name: "envIndex", summary: "An environment as a chart repository: exactly the pinned version, sealed."},
		{method: get, path: repoPath + "/sealed/{file}", access: reads, handler: handle((*Server).envSealed), name: "envSealed", summary: "A sealed package of the environment, for ever."},
		{method: get, path: repoPath + "/revisions/" + pinRevision + "/index.yaml", access: reads, handler: handle((*Server).revisionIndex), name: "revisionIndex", summary: "One revision as a chart repository with the original package."},
		{method: get, path: repoPath + "/revisions/" + pinRevision + "/values.yaml", access: reads, handler: handle((*Server).overlay), name: "overlay", summary: "The revision's images as a values file."},
		{method: get, path: repoPath + "/revisions/" + pinRevision + "/{file}", access: reads, handler: handle((*Server).revisionPackage), name: "revisionPackage", summary: "The revision's original package or its provenance file."},
	}
}

// gateRoutes are about what the gate asks for.
func gateRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/status", access: reads, handler: handle((*Server).status), name: "status", summary: "All environments with their verdicts, soak and halts."},
		{method: get, path: envPath + "/status", access: reads, handler: handle((*Server).environmentStatus), name: "environmentStatus", summary: "One environment with all that explains its state."},
		{method: put, path: envPath + "/policy", access: reads, handler: handle((*Server).setPolicy), name: "setPolicy", summary: "Replace an environment's policy; with dry_run only say what that changes."},
		{method: post, path: envPath + "/gate", access: reads, handler: handle((*Server).gate), name: "gate", summary: "What a pin would be answered now, by every rule; nothing is written. The server can choose the pair.", accepts: []string{ifMatch}},
		{method: post, path: envPath + "/approvals", access: needsOnEnv(auth.Approve), handler: handle((*Server).approve), name: "approve", summary: "Approve a binding, to be pinned by somebody else.", status: []int{201}},
		{method: post, path: envPath + "/halts", access: needsOnEnv(auth.Override), handler: handle((*Server).halt), name: "halt", summary: "Halt by hand.", status: []int{201}},
		{method: get, path: "/api/v1/halts", access: reads, handler: handle((*Server).halts), name: "halts", summary: "The halts that are open, oldest first; all=true: all of them, newest first."},
		{method: post, path: "/api/v1/halts/{id}/resolve", access: needsOnParsed(auth.Override), may: (*Server).mayResolve, handler: handle((*Server).resolveHalt), name: "resolveHalt", summary: "End a halt by an override."},
		{method: get, path: reportPath, access: reads, handler: handle((*Server).reports), name: "reports", summary: "The reports of a revision, oldest first."},
		{method: post, path: reportPath, access: needsOnEnv(auth.Report), handler: handle((*Server).report), name: "report", summary: "Say how the deployment of a revision went.", status: []int{201}},
		{method: post, path: envPath + "/pins/by-key/{key}/fence", access: needsOnEnv(auth.Pin), handler: handle((*Server).fence), name: "fence", summary: "Settle a pin whose answer was lost: the pin that the key made, or the promise that it never makes one."},
	}
}

func adminRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/whoami", access: toAnyone, handler: handle((*Server).whoami), name: "whoami", summary: "Who the credential belongs to and what it may do."},
		{method: get, path: "/api/v1/openapi.json", access: toAnyone, handler: handle((*Server).openapi), name: "openapi", summary: "This document."},
		{method: get, path: "/api/v1/journal", access: needs(auth.Audit), handler: handle((*Server).journal), name: "journal", summary: "The journal, oldest line first."},
		{method: get, path: "/api/v1/events", access: reads, handler: handle((*Server).events), name: "events", waits: true, summary: "What happened after a line of the journal; wait (seconds, at most 30) waits for it. Without after: where the journal ends."},
		{method: get, path: "/api/v1/webhooks", access: needs(auth.Admin), handler: handle((*Server).webhooks), name: "webhooks", summary: "All webhooks, without their secrets, and how far each was served."},
		{method: post, path: "/api/v1/webhooks", access: needs(auth.Admin), handler: handle((*Server).createWebhook), name: "createWebhook", summary: "Make a webhook; the secret is shown this once.", status: []int{201}},
		{method: del, path: "/api/v1/webhooks/{id}", access: needs(auth.Admin), handler: handle((*Server).deleteWebhook), name: "deleteWebhook", summary: "Delete a webhook; what it was not sent yet it will not get."},
		{method: get, path: "/api/v1/tokens", access: needs(auth.Admin), handler: handle((*Server).tokens), name: "tokens", summary: "All tokens, without their secrets."},
		{method: post, path: "/api/v1/tokens", access: needs(auth.Admin), handler: handle((*Server).createToken), name: "createToken", summary: "Make a token; the secret is shown this once.", status: []int{201}},
		{method: del, path: "/api/v1/tokens/{id}", access: needs(auth.Admin), handler: handle((*Server).revokeToken), name: "revokeToken", summary: "Revoke a token; nothing is written with it from now on, by requests under way either."},
		{method: get, path: "/api/v1/backup", access: needs(auth.Admin), handler: handle((*Server).backup), name: "backup", summary: "A consistent backup, as a tar stream."},
		{method: get, path: "/api/v1/fsck", access: needs(auth.Admin), handler: handle((*Server).fsck), name: "fsck", summary: "Check everything that is stored."},
	}
}
