package main

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/verify"
)

// What stands in a file must not become a command of the runner.
func TestAnnotations(t *testing.T) {
	out := verify.Answer{
		Findings: []verify.Finding{
			{Kind: "pair", Envs: []string{"data8/prod", "r/prod"}, Place: verify.Place{File: "a,b:c%.yaml", Line: 7}, Message: "100% is 1.0\n::stop-commands::x", Mend: "chartctl bump"},
			{Kind: "lock", Envs: []string{"data8/prod"}, Place: verify.Place{File: "chartd.lock"}, Message: "no entry", Mend: "m"},
		},
		Notes: []string{"a\r\n::add-mask::note"},
		Gate:  []api.GateVerdict{{Pass: true}, {Refusal: &api.Error{Code: api.CodeGate, Message: "no soak", Want: "wait"}}},
	}
	want := "::error file=sub/a%2Cb%3Ac%25.yaml,line=7,title=chartctl verify%3A pair::100%25 is 1.0 ::stop-commands::x. Mend: chartctl bump (data8/prod, r/prod)\n" +
		"::error file=sub/chartd.lock,title=chartctl verify%3A lock::no entry. Mend: m (data8/prod)\n" +
		"::notice title=chartctl verify::a  ::add-mask::note\n" +
		"::error file=sub/chartd.lock,title=chartctl verify::no soak; wait\n"
	got := annotations(out, "sub/")
	if got != want {
		t.Errorf("annotations\n%s\nwant\n%s", got, want)
	}
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "::error ") && !strings.HasPrefix(line, "::notice ") {
			t.Errorf("a line that GitHub takes for something else: %q", line)
		}
	}
}

// What could not be asked comes before the differences, and those before the
// gate.
func TestVerdictError(t *testing.T) {
	gate := &api.Error{Code: api.CodeHalted, Message: "halted"}
	down := &api.Error{Code: api.CodeUnavailable, Message: "no answer"}
	some := []verify.Finding{{}}
	for _, tt := range []struct {
		findings []verify.Finding
		asked    error
		want     int
	}{
		{nil, nil, api.ExitOK}, {some, nil, api.ExitDrift}, {nil, gate, api.ExitHalted}, {some, gate, api.ExitDrift},
		{nil, down, api.ExitUnavailable}, {some, down, api.ExitUnavailable},
	} {
		err := verify.Answer{Findings: tt.findings, Asked: tt.asked}.Err()
		got := api.ExitOK
		if e, ok := err.(*api.Error); ok {
			got = e.Code.Exit()
		}
		if got != tt.want {
			t.Errorf("%d findings, %v: exit %d, want %d", len(tt.findings), tt.asked, got, tt.want)
		}
	}
}
