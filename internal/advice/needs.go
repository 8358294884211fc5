package advice

import "chartd.dev/chartd/internal/model"

// words of a need: what would satisfy it, and the command for that.
type words struct {
	want    string
	command Line
}

// needs has the words for each need. Scripts read them: a word that is there
// stays.
var needs = map[model.Need]words{
	model.NeedLook:          {"look at what changed and ask again from there", History},
	model.NeedItsPair:       {"go back to the pair that the revision had", History},
	model.NeedSourcePin:     {"pin it first: " + string(BumpLatest), BumpLatest},
	model.NeedSourcePair:    {"read it again and promote what it runs now", Promote},
	model.NeedItsChart:      {"pin a version of {name}", Charts},
	model.NeedOtherBinding:  {"pin another binding; see " + string(Show), Show},
	model.NeedProvenImage:   {"bind an image that is proven to belong to it; see " + string(Show), Show},
	model.NeedAccepted:      {"bind an image with accepted evidence; see " + string(Show), Show},
	model.NeedOtherVersion:  {"pin another version", Charts},
	model.NeedListedVersion: {"pin another version; only a rollback to a pair that passed here may use a yanked one", Charts},
	model.NeedBump:          {"bump it: a fix is for what a halt stops", BumpBinding},
	model.NeedResolve:       {"wait until what {by} halted it for is over; a pass does not end it", Resolve},
	model.NeedPassAfterHalt: {"deploy revision {revision} of {env} and report that it passed; or end the halt: " + string(Resolve), Passed},
	model.NeedWayBack: {"roll {env} back to a pair that passed there, or fix it there, and report it passed; or end the halt: " +
		string(Resolve), Rollback},
	model.NeedPass: {"pin {env} to it and report it passed there", BumpBinding},
	model.NeedSoak: {"let {env} hold it for {time} more, un-halted", Why},
	model.NeedPassingPair: {"take a pair that passes in {env}; or, if the failure was not the pair's, deploy it there again and let that be reported",
		Why},
	model.NeedReport:        {"report that {env} passed it at revision {revision}", Passed},
	model.NeedApprovals:     {"let {count} more approve it, who are not {by}", Approve},
	model.NeedEndOfFreeze:   {"wait until {time}", Gate},
	model.NeedDowngrade:     {downgrade, BumpDowngrade},
	model.NeedDowngradeBack: {downgrade, RollbackDowngrade},
	model.NeedProof:         {"bind an image that content proves to belong to it, or use --break-glass", Show},

	model.NeedRebuild:     {"rebuild it FROM {base} and bind the new image, or bind the chart version that it was built for", ""},
	model.NeedItsVersion:  {"bind the chart version that it was built for", ""},
	model.NeedDeclaration: {"declare it: " + string(Declare), ""},
	model.NeedRegistry:    {"bind again when its registry answers, or declare it: " + string(Declare), ""},

	model.NeedImages:          {"name the image with " + string(BumpImages) + ", or take binding {binding} with --binding", ""},
	model.NeedOneOf:           {"choose with " + string(BumpVersion) + " and {choices}", ""},
	model.NeedBinding:         {"bind it with " + string(Bind), ""},
	model.NeedVerifiedBinding: {"bind another image, or see why with " + string(Show), ""},
	model.NeedBindingWith:     {"bind it first", BindImages},
	model.NeedOtherPair:       {"bump it to another pair", BumpLatest},
	model.NeedRevision:        {"name the revision to go back to", RollbackTo},
	model.NeedVersion:         {"give --version, or --devel to allow pre-releases", ""},
	model.NeedAnyVersion:      {"bind one with " + string(AnyBind) + ", or give --version", ""},
	model.NeedBound:           {"bind those that are unbound with " + string(BindUnbound), ""},
	model.NeedBoundOrDevel:    {"bind those that are unbound with " + string(BindUnbound) + ", or give --devel to allow pre-releases", ""},
	model.NeedBind:            {"", Bind},
	model.NeedShow:            {"", Show},

	model.NeedEnvironment: {string(EnvList) + " names those that are, " + string(EnvCreate) + " makes it", ""},
	model.NeedHaltName:    {"want a name such as halt-12, see " + string(Halts), ""},
	model.NeedHalt:        {"see " + string(AllHalts), ""},
	model.NeedFewerHalts:  {"resolve one first, see " + string(Halts), ""},
	model.NeedHistory:     {"look at " + string(History), ""},
}

const downgrade = `say why it goes back: --downgrade "…"; or roll back to a pair that passed here`
