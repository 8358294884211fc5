package server

import (
	"net/http"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
)

// route is one line of the table. The OpenAPI document and the access matrix
// of the tests are made from it.
type route struct {
	method  string // GET answers HEAD too
	path    string // below the base path
	access  access
	do      func(*Server, *call) error
	name    string // operation id
	summary string
	in      any      // value of the JSON body's type; nil: none
	out     any      // value of the JSON answer's type; nil: not JSON
	status  []int    // of success
	upload  bool     // takes one of the upload slots
	headers []string // that have to be sent
	accepts []string // headers that may be sent
	query   []string
}

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

// pinHeaders are the preconditions of a pin.
var pinHeaders = []string{"If-Match", "Idempotency-Key"}

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
		{method: get, path: "/healthz", access: openToAll, do: (*Server).healthz, name: "healthz", summary: "The process answers.", out: healthy{}, status: []int{200}},
		{method: get, path: "/readyz", access: openToAll, do: (*Server).readyz, name: "readyz", summary: "Writes can be kept; 503 says why not.", out: healthy{}, status: []int{200}},
		{method: get, path: "/health", access: openToAll, do: (*Server).healthz, name: "health", summary: "ChartMuseum's health check.", out: healthy{}, status: []int{200}},
		{method: get, path: "/info", access: openToAll, do: (*Server).info, name: "info", summary: "The server's version.", out: info{}, status: []int{200}},
		{method: get, path: "/", access: openToAll, do: (*Server).welcome, name: "welcome", summary: "A page that says how to use the repository.", status: []int{200}},
	}
}

// museum is ChartMuseum's API, and the index and packages that Helm reads.
func museum() []route {
	return []route{
		{method: get, path: "/index.yaml", access: reads, do: (*Server).index, name: "index", summary: "The repository's index, as Helm reads it.", status: []int{200, 304}},
		{method: get, path: "/charts/{file}", access: reads, do: (*Server).packageFile, name: "package", summary: "A package (.tgz) or its provenance file (.tgz.prov).", status: []int{200, 206, 304}},
		{method: get, path: "/charts/{name}/index.yaml", access: reads, do: (*Server).chartIndex, name: "chartIndex", summary: "One chart as a chart repository: what the index says of it.", status: []int{200, 304}},
		{method: get, path: "/charts/{name}/charts/{file}", access: reads, do: (*Server).chartPackage, name: "chartPackage", summary: "A package, or its provenance file, in the repository of its chart.", status: []int{200, 206, 304}},
		{method: get, path: "/artifacthub-repo.yml", access: reads, do: (*Server).artifactHub, name: "artifacthub", summary: "Artifact Hub's metadata file, where one is configured.", status: []int{200}},
		{method: get, path: "/api/charts", access: reads, do: (*Server).museumCharts, name: "museumCharts", summary: "All charts: names to index entries.", status: []int{200}, out: map[string][]any{}, query: []string{"offset", "limit"}},
		{method: post, path: "/api/charts", access: needsOnParsed(auth.Publish), do: (*Server).museumPublish, name: "museumPublish", summary: "Publish: multipart chart and prov, or the package as the body. 200 (raw) or 202 (multipart): the same content was there.", out: saved{}, status: []int{201, 200, 202}, upload: true},
		{method: post, path: "/api/prov", access: needsOnParsed(auth.Publish), do: (*Server).museumProv, name: "museumProv", summary: "Add the provenance file of a published package.", out: saved{}, status: []int{201}, upload: true},
		{method: get, path: "/api/charts/{name}", access: reads, do: (*Server).museumChart, name: "museumChart", summary: "The index entries of a chart.", status: []int{200}, out: []any{}},
		{method: get, path: "/api/charts/{name}/{version}", access: reads, do: (*Server).museumVersion, name: "museumVersion", summary: "One index entry; the version may be latest.", status: []int{200}, out: map[string]any{}},
		{method: del, path: "/api/charts/{name}/{version}", access: needsOnChart(auth.Yank), do: (*Server).museumDelete, name: "museumDelete", summary: "Yank: the version leaves the index and stays fetchable.", out: deleted{}, status: []int{200}},
		{method: get, path: "/api/charts/{name}/{version}/templates", access: reads, do: (*Server).museumTemplates, name: "museumTemplates", summary: "The chart's template files.", out: []templateFile{}, status: []int{200}},
		{method: get, path: "/api/charts/{name}/{version}/values", access: reads, do: (*Server).museumValues, name: "museumValues", summary: "The chart's values.yaml.", status: []int{200}},
	}
}

func chartRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/charts", access: reads, do: (*Server).listCharts, name: "listCharts", summary: "Chart versions by name, newest publication first.", out: api.Charts{}, status: []int{200}, query: []string{"name", "after", "limit", "all", "bound"}},
		{method: post, path: "/api/v1/charts", access: needsOnParsed(auth.Publish), do: (*Server).publish, name: "publish", summary: "Publish a package: multipart (chart, prov, image, require_binding) or the package as the body.", out: api.PublishResult{}, status: []int{201, 200}, upload: true},
		{method: post, path: "/api/v1/import", access: needs(auth.Import), do: (*Server).importChart, name: "import", summary: "Take over a package of an existing repository: multipart (chart, prov, created, order, requirements).", out: api.PublishResult{}, status: []int{201, 200}, upload: true},
		{method: post, path: "/api/v1/imports", access: needs(auth.Import), do: (*Server).importCharts, name: "imports", summary: "Take over several packages, in the order in which they are sent: multipart (for each: created, order, requirements, prov, provenance, and then chart). Each has its own result.", out: api.ImportResults{}, status: []int{200}, upload: true},
		{method: get, path: "/api/v1/charts/{name}", access: reads, do: (*Server).chartVersions, name: "chartVersions", summary: "All versions of a chart.", out: api.Charts{}, status: []int{200}, query: []string{"all"}},
		{method: get, path: chartPath, access: reads, do: (*Server).chart, name: "chart", summary: "One chart version; the version may be latest.", out: api.Chart{}, status: []int{200}},
		{method: post, path: chartPath + "/yank", access: needsOnChart(auth.Yank), do: (*Server).yank, name: "yank", summary: "Hide a version from the index and from new pins.", in: api.ReasonRequest{}, out: api.Chart{}, status: []int{200}},
		{method: post, path: chartPath + "/purge", access: needsOnChart(auth.Purge), do: (*Server).purge, name: "purge", summary: "Remove a version's bytes and leave a tombstone.", in: api.ReasonRequest{}, out: api.Chart{}, status: []int{200}},
		{method: get, path: chartPath + "/bindings", access: reads, do: (*Server).bindings, name: "bindings", summary: "The bindings of a chart version, oldest first.", out: api.Bindings{}, status: []int{200}},
		{method: post, path: chartPath + "/bindings", access: needsOnChart(auth.Bind), do: (*Server).bind, name: "bind", summary: "Bind a chart version to its images; 200: that binding existed.", in: api.BindRequest{}, out: api.Binding{}, status: []int{201, 200}},
		{method: get, path: "/api/v1/bindings/{id}", access: reads, do: (*Server).binding, name: "binding", summary: "One binding.", out: api.Binding{}, status: []int{200}},
		{method: post, path: "/api/v1/bindings/{id}/revoke", access: needsOnParsed(auth.Bind), do: (*Server).revoke, name: "revoke", summary: "Revoke a binding: no new pin may name it.", in: api.ReasonRequest{}, out: api.Binding{}, status: []int{200}},
		{method: get, path: "/api/v1/bindings/{id}/sealed", access: reads, do: (*Server).sealed, name: "sealed", summary: "The sealed package: the chart with the bound images in its values.", status: []int{200, 206, 304}},
		{method: get, path: "/api/v1/bindings/{id}/tags", access: reads, do: (*Server).tagsNow, name: "tagsNow", summary: "What the registries have behind the binding's tags now.", out: api.TagsNow{}, status: []int{200}},
		{method: get, path: "/api/v1/bindings/{id}/seal", access: reads, do: (*Server).sealProof, name: "seal", summary: "Proof that the sealed package is the original but for these bytes.", out: sealProof{}, status: []int{200}},
	}
}

func environmentRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/environments", access: reads, do: (*Server).environments, name: "environments", summary: "All environments with their pins.", out: api.Environments{}, status: []int{200}},
		{method: post, path: "/api/v1/environments", access: needs(auth.Env), do: (*Server).createEnvironment, name: "createEnvironment", summary: "Create an environment.", in: api.CreateEnvironment{}, out: api.Environment{}, status: []int{201}},
		{method: get, path: envPath, access: reads, do: (*Server).environment, name: "environment", summary: "One environment with its pin.", out: api.Environment{}, status: []int{200}},
		{method: post, path: envPath + "/adopt", access: needs(auth.Env), do: (*Server).adopt, name: "adopt", summary: "Make revision 1 from what runs today.", in: api.AdoptRequest{}, out: api.Pin{}, status: []int{201}, headers: pinHeaders[1:]},
		{method: get, path: envPath + "/pins", access: reads, do: (*Server).pins, name: "pins", summary: "The environment's revisions, newest first.", out: api.Pins{}, status: []int{200}, query: []string{"before", "limit"}},
		{method: post, path: envPath + "/pins", access: needsOnEnv(auth.Pin), do: (*Server).pin, name: "pin", summary: "Pin a binding: bump, promote or roll back.", in: api.PinRequest{}, out: api.Pin{}, status: []int{201}, headers: pinHeaders},
		{method: get, path: envPath + "/pins/" + pinRevision, access: reads, do: (*Server).pinAt, name: "pinAt", summary: "One revision.", out: api.Pin{}, status: []int{200}},
		{method: get, path: envPath + "/pins/by-key/{key}", access: reads, do: (*Server).pinByKey, name: "pinByKey", summary: "The pin made under an Idempotency-Key; 404: none was.", out: api.Pin{}, status: []int{200}},
		{method: post, path: "/api/v1/pinsets", access: needsOnParsed(auth.Pin), do: (*Server).pinSet, name: "pinSet", summary: "Pin several environments in one transaction.", in: api.PinSetRequest{}, out: api.PinSetResult{}, status: []int{201}, headers: pinHeaders[1:]},
		{method: get, path: repoPath + "/index.yaml", access: reads, do: (*Server).envIndex, name: "envIndex", summary: "An environment as a chart repository: exactly the pinned version, sealed.", status: []int{200, 304}},
		{method: get, path: repoPath + "/sealed/{file}", access: reads, do: (*Server).envSealed, name: "envSealed", summary: "A sealed package of the environment, for ever.", status: []int{200, 206, 304}},
		{method: get, path: repoPath + "/revisions/" + pinRevision + "/index.yaml", access: reads, do: (*Server).revisionIndex, name: "revisionIndex", summary: "One revision as a chart repository with the original package.", status: []int{200, 304}},
		{method: get, path: repoPath + "/revisions/" + pinRevision + "/values.yaml", access: reads, do: (*Server).overlay, name: "overlay", summary: "The revision's images as a values file.", status: []int{200, 304}, query: []string{"prefix"}},
		{method: get, path: repoPath + "/revisions/" + pinRevision + "/{file}", access: reads, do: (*Server).revisionPackage, name: "revisionPackage", summary: "The revision's original package or its provenance file.", status: []int{200, 206, 304}},
	}
}

// gateRoutes are about what the gate asks for.
func gateRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/status", access: reads, do: (*Server).status, name: "status", summary: "All environments with their verdicts, soak and halts.", out: api.Status{}, status: []int{200}},
		{method: get, path: envPath + "/status", access: reads, do: (*Server).environmentStatus, name: "environmentStatus", summary: "One environment with all that explains its state.", out: api.EnvironmentStatus{}, status: []int{200}},
		{method: put, path: envPath + "/policy", access: reads, do: (*Server).setPolicy, name: "setPolicy", summary: "Replace an environment's policy; dry_run=true only says what that changes.", in: api.Policy{}, out: api.PolicySet{}, status: []int{200}, query: []string{"dry_run"}},
		{method: post, path: envPath + "/gate", access: reads, do: (*Server).gate, name: "gate", summary: "What a pin would be answered now, by every rule; nothing is written. The server can choose the pair.", in: api.GateRequest{}, out: api.GateVerdict{}, status: []int{200}, accepts: pinHeaders[:1]},
		{method: post, path: envPath + "/approvals", access: needsOnEnv(auth.Approve), do: (*Server).approve, name: "approve", summary: "Approve a binding, to be pinned by somebody else.", in: api.ApprovalRequest{}, out: api.Approval{}, status: []int{201}},
		{method: post, path: envPath + "/halts", access: needsOnEnv(auth.Override), do: (*Server).halt, name: "halt", summary: "Halt by hand.", in: api.HaltRequest{}, out: api.Halt{}, status: []int{201}},
		{method: get, path: "/api/v1/halts", access: reads, do: (*Server).halts, name: "halts", summary: "The halts that are open, oldest first; all=true: all of them, newest first.", out: api.Halts{}, status: []int{200}, query: []string{"all", "before", "limit"}},
		{method: post, path: "/api/v1/halts/{id}/resolve", access: needsOnParsed(auth.Override), do: (*Server).resolveHalt, name: "resolveHalt", summary: "End a halt by an override.", in: api.ReasonRequest{}, out: api.Halt{}, status: []int{200}},
		{method: get, path: reportPath, access: reads, do: (*Server).reports, name: "reports", summary: "The reports of a revision, oldest first.", out: api.Reports{}, status: []int{200}},
		{method: post, path: reportPath, access: needsOnEnv(auth.Report), do: (*Server).report, name: "report", summary: "Say how the deployment of a revision went.", in: api.ReportRequest{}, out: api.Report{}, status: []int{201}},
		{method: post, path: envPath + "/pins/by-key/{key}/fence", access: needsOnEnv(auth.Pin), do: (*Server).fence, name: "fence", summary: "Settle a pin whose answer was lost: the pin that the key made, or the promise that it never makes one.", out: api.Fence{}, status: []int{200}},
	}
}

func adminRoutes() []route {
	return []route{
		{method: get, path: "/api/v1/whoami", access: toAnyone, do: (*Server).whoami, name: "whoami", summary: "Who the credential belongs to and what it may do.", out: api.WhoAmI{}, status: []int{200}},
		{method: get, path: "/api/v1/openapi.json", access: toAnyone, do: (*Server).openapi, name: "openapi", summary: "This document.", status: []int{200}},
		{method: get, path: "/api/v1/journal", access: needs(auth.Audit), do: (*Server).journal, name: "journal", summary: "The journal, oldest line first.", out: api.Journal{}, status: []int{200}, query: []string{"after", "limit"}},
		{method: get, path: "/api/v1/events", access: reads, do: (*Server).events, name: "events", summary: "What happened after a line of the journal; wait (seconds, at most 30) waits for it. Without after: where the journal ends.", out: api.Events{}, status: []int{200}, query: []string{"after", "wait", "limit"}},
		{method: get, path: "/api/v1/webhooks", access: needs(auth.Admin), do: (*Server).webhooks, name: "webhooks", summary: "All webhooks, without their secrets, and how far each was served.", out: api.Webhooks{}, status: []int{200}},
		{method: post, path: "/api/v1/webhooks", access: needs(auth.Admin), do: (*Server).createWebhook, name: "createWebhook", summary: "Make a webhook; the secret is shown this once.", in: api.WebhookRequest{}, out: api.WebhookSecret{}, status: []int{201}},
		{method: del, path: "/api/v1/webhooks/{id}", access: needs(auth.Admin), do: (*Server).deleteWebhook, name: "deleteWebhook", summary: "Delete a webhook; what it was not sent yet it will not get.", status: []int{204}},
		{method: get, path: "/api/v1/tokens", access: needs(auth.Admin), do: (*Server).tokens, name: "tokens", summary: "All tokens, without their secrets.", out: api.Tokens{}, status: []int{200}},
		{method: post, path: "/api/v1/tokens", access: needs(auth.Admin), do: (*Server).createToken, name: "createToken", summary: "Make a token; the secret is shown this once.", in: api.TokenRequest{}, out: api.TokenSecret{}, status: []int{201}},
		{method: del, path: "/api/v1/tokens/{id}", access: needs(auth.Admin), do: (*Server).revokeToken, name: "revokeToken", summary: "Revoke a token; it is refused from the next request on.", status: []int{204}},
		{method: get, path: "/api/v1/backup", access: needs(auth.Admin), do: (*Server).backup, name: "backup", summary: "A consistent backup, as a tar stream.", status: []int{200}},
		{method: get, path: "/api/v1/fsck", access: needs(auth.Admin), do: (*Server).fsck, name: "fsck", summary: "Check everything that is stored.", out: checkReport{}, status: []int{200}},
	}
}
