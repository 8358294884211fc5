// Package advice says what to do next: the sentence for each situation that
// somebody is in, and the command line for it. No other room makes one, so that
// the API, the command and the pages say the same, and every command line can be
// held against the command itself.
//
// The rules say which situation it is, as data (model.Situation); lines.go has
// the command lines, needs.go the sentences.
package advice

import (
	"fmt"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Line is a command line of chartctl with gaps, such as {env}.
type Line string

// With is the line with its gaps filled. A gap without a fact is left to the
// reader, as a word in capitals.
func (l Line) With(f model.Facts) string { return fill(string(l), f, true) }

// Part is the line with the gaps filled that there are facts for.
func (l Line) Part(f model.Facts) string { return fill(string(l), f, false) }

// left are the gaps that the reader may have to fill.
var left = map[string]string{"name": "NAME", "version": "VERSION", "revision": "REVISION", "branch": "BRANCH", "images": " --image ROLE=REF", "group": ""}

// fill puts the facts into the gaps of a text, in one go: a fact may look like a
// gap.
func fill(text string, f model.Facts, whole bool) string {
	var pairs []string
	for gap, fact := range gaps(f) {
		if word, ok := left[gap]; fact == "" && ok && whole {
			pairs = append(pairs, "{"+gap+"}", word)
		} else if fact != "" {
			pairs = append(pairs, "{"+gap+"}", fact)
		}
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// gaps are the facts by the gap that each fills.
func gaps(f model.Facts) map[string]string {
	out := map[string]string{
		"env": f.Env.String(), "from": f.From.String(), "chart": f.Chart.String(), "name": f.Name, "version": f.Version,
		"halt": f.Halt, "by": f.By, "count": strconv.Itoa(f.Count), "time": f.Time, "base": f.Base,
		"images": images(f.Images), "choices": choices(f.Choices), "server": f.Server, "verdict": string(f.Verdict),
		"binding": "", "revision": "", "branch": "", "group": "",
	}
	for _, env := range f.Others {
		out["env"] += " " + env.String()
	}
	if f.Version == "" {
		out["version"] = f.Chart.Version()
	}
	if !f.Binding.IsZero() {
		out["binding"] = f.Binding.String()
	}
	if f.Revision > 0 {
		out["revision"] = strconv.FormatUint(f.Revision, 10)
	}
	if f.Group {
		out["group"] = " --group"
	}
	return out
}

func images(list []model.RoleImage) string {
	out := ""
	for _, i := range list {
		image := i.Image
		if image == "" {
			image = "REF"
		}
		out += fmt.Sprintf(" --image %s=%s", i.Role, image)
	}
	return out
}

func choices(list [][]model.RoleImage) string {
	var out []string
	for _, some := range list {
		out = append(out, strings.TrimPrefix(images(some), " "))
	}
	return strings.Join(out, ", or ")
}

// Together adds --group to the commands in a text that move one of the
// environments: those share files, of which the server knows nothing.
func Together(text string, envs []ref.Env) string {
	for _, env := range envs {
		for _, verb := range []string{"bump", "rollback"} {
			one := fmt.Sprintf("chartctl %s %s ", verb, env)
			if strings.HasPrefix(text, one) { // a command and nothing else
				return text + " --group"
			}
			text = strings.ReplaceAll(text, one, one+"--group ")
		}
	}
	return text
}

// Of is what to do in a situation, and the command for it; either may be empty,
// and both are where there is none.
func Of(s *model.Situation) (want, command string) {
	if s == nil {
		return "", ""
	}
	w := needs[s.Need]
	return fill(w.want, s.Facts, true), w.command.With(s.Facts)
}
