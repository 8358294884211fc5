package advice_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func env(t *testing.T, s string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// facts has all that any need asks for.
func facts(t *testing.T) model.Facts {
	t.Helper()
	chart, err := ref.ParseImported("jupyterhub", "3.3.7")
	if err != nil {
		t.Fatal(err)
	}
	return model.Facts{
		Env: env(t, "data8/prod"), From: env(t, "data8/staging"), Binding: ref.BindingIDOf(ref.DigestOf(nil), nil), Chart: chart, Name: "jupyterhub",
		Revision: 7, Halt: "halt-12", By: "alice", Count: 2, Time: "12h", Base: "quay.io/jupyterhub/k8s-hub:3.3.7",
		Images:  []model.RoleImage{{Role: "hub", Image: "quay.io/berkeley/hub:1"}, {Role: "main"}},
		Choices: [][]model.RoleImage{{{Role: "hub", Image: "a.io/x:1"}}, {{Role: "hub", Image: "b.io/x:1"}}},
	}
}

// needs are all that the vocabulary has.
func needs(t *testing.T) (out []model.Need) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../model/need.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			word, err := strconv.Unquote(v.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, model.Need(word))
		}
		return true
	})
	return out
}

// Each need has words, and none of them has a gap left over.
func TestEveryNeedHasWords(t *testing.T) {
	all := needs(t)
	if len(all) < 40 {
		t.Fatalf("%d needs were found", len(all))
	}
	for _, need := range all {
		want, command := advice.Of(&model.Situation{Need: need, Facts: facts(t)})
		if want == "" && command == "" {
			t.Errorf("%q has no words", need)
		}
		if strings.ContainsAny(want+command, "{}") {
			t.Errorf("%q leaves a gap: %s | %s", need, want, command)
		}
	}
	if want, command := advice.Of(nil); want != "" || command != "" {
		t.Errorf("nothing needed, and %q, %q said", want, command)
	}
}

// What scripts read is as it always was.
func TestWords(t *testing.T) {
	id := facts(t).Binding.String()
	for _, c := range []struct {
		need          model.Need
		want, command string
	}{
		{model.NeedLook, "look at what changed and ask again from there", "chartctl history data8/prod"},
		{model.NeedSourcePair, "read it again and promote what it runs now", "chartctl promote data8/staging data8/prod"},
		{model.NeedOtherBinding, "pin another binding; see chartctl show jupyterhub@3.3.7", "chartctl show jupyterhub@3.3.7"},
		{model.NeedWayBack, `roll data8/prod back to a pair that passed there, or fix it there, and report it passed; or end the halt: chartctl resolve halt-12 --reason "…"`, "chartctl rollback data8/prod"},
		{model.NeedSoak, "let data8/prod hold it for 12h more, un-halted", "chartctl why data8/prod"},
		{model.NeedReport, "report that data8/prod passed it at revision 7", "chartctl report data8/prod --revision 7 --passed"},
		{model.NeedApprovals, "let 2 more approve it, who are not alice", "chartctl approve data8/prod --binding " + id},
		{model.NeedDowngradeBack, `say why it goes back: --downgrade "…"; or roll back to a pair that passed here`, `chartctl rollback data8/prod --to 7 --downgrade "…"`},
		{model.NeedRebuild, "rebuild it FROM quay.io/jupyterhub/k8s-hub:3.3.7 and bind the new image, or bind the chart version that it was built for", ""},
		{model.NeedImages, "name the image with chartctl bump data8/prod --version 3.3.7 --image hub=quay.io/berkeley/hub:1 --image main=REF, or take binding " + id + " with --binding", ""},
		{model.NeedOneOf, "choose with chartctl bump data8/prod --version 3.3.7 and --image hub=a.io/x:1, or --image hub=b.io/x:1", ""},
		{model.NeedEnvironment, "chartctl env list names those that are, chartctl env create data8/prod --chart jupyterhub makes it", ""},
	} {
		want, command := advice.Of(&model.Situation{Need: c.need, Facts: facts(t)})
		if want != c.want || command != c.command {
			t.Errorf("%q:\n%s | %s\nwant\n%s | %s", c.need, want, command, c.want, c.command)
		}
	}
}

// A fact that looks like a gap is no gap, and one that is missing is left to
// the reader, or for later.
func TestGaps(t *testing.T) {
	want, _ := advice.Of(&model.Situation{Need: model.NeedApprovals, Facts: model.Facts{Count: 1, By: "{version}"}})
	if want != "let 1 more approve it, who are not {version}" {
		t.Error(want)
	}
	f := model.Facts{Env: env(t, "data8/prod")}
	if got := advice.BumpImages.With(f); got != "chartctl bump data8/prod --version VERSION --image ROLE=REF" {
		t.Error(got)
	}
	if got := advice.BumpVersion.Part(model.Facts{Version: "1.0.0"}); got != "chartctl bump {env} --version 1.0.0" {
		t.Error(got)
	}
}
