package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chartd.dev/chartd/internal/api"
)

// advise adds what to do where only the caller's side knows it.
func advise(e *api.Error) *api.Error {
	want := ""
	switch {
	case e.Want != "":
	case e.Code == api.CodeUnauthorized:
		want = "give a token that is valid there: chartctl login URL keeps it, --token-file and CHARTCTL_TOKEN come before it"
	case e.Code == api.CodeUnavailable && e.Status == 0 && strings.Contains(e.Message, "connection refused"):
		want = "does chartd run there? --server and CHARTCTL_SERVER come before the server of the last chartctl login"
	}
	if want == "" {
		return e
	}
	told := *e
	told.Want = want
	return &told
}

// others are the words of other tools for a command.
var others = map[string][]string{
	"bump":    {"pin", "upgrade", "install", "update", "set"},
	"charts":  {"list", "ls", "search", "versions"},
	"publish": {"push", "upload"},
	"show":    {"inspect", "get", "describe"},
	"purge":   {"delete", "rm", "remove"},
	"history": {"log", "revisions"},
}

// unknownCommand refuses a command that there is not.
func unknownCommand(root *cobra.Command, name string) *api.Error {
	known := root.SuggestionsFor(name)
	for _, c := range root.Commands() {
		if slices.Contains(others[c.Name()], name) {
			known = []string{c.Name()}
		}
	}
	if len(known) > 0 {
		return usage("unknown command %q: did you mean chartctl %s? see chartctl --help", name, strings.Join(known, " or "))
	}
	return usage("unknown command %q; see chartctl --help", name)
}

// unknownFlag is what a flag may have been meant to be; "" for none.
func unknownFlag(c *cobra.Command, err error) string {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return ""
	}
	best, least := "", 3
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if d := distance(name, f.Name); d < least && !f.Hidden {
			best, least = f.Name, d
		}
	})
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean --%s?", best)
}

// distance counts the letters to insert, leave out or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
