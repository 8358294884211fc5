package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// trigger is a branch that a pipeline runs on.
type trigger struct {
	branch, file string
	line         int
}

// findBranches decides whether the branch says the stage: a pipeline runs on
// branches named like all the stages, or, where no pipeline runs on a branch,
// git has them.
func (f *finder) findBranches() {
	var all []trigger
	for _, file := range f.Files {
		_, isYAML := yamlName(file)
		switch {
		case isYAML && path.Dir(file) == ".github/workflows":
			all = append(all, f.triggers(file, workflowBranches)...)
		case file == ".gitlab-ci.yml":
			all = append(all, f.triggers(file, gitlabBranches)...)
		}
	}
	names := f.layout.stageNames()
	if len(names) < 2 {
		names = nil
		for _, t := range all {
			if isStage(t.branch) && !slices.Contains(names, t.branch) {
				names = append(names, t.branch)
			}
		}
	}
	if len(names) < 2 {
		return
	}
	branches := map[string]string{}
	var why []Evidence
	for _, stage := range names {
		i := slices.IndexFunc(all, func(t trigger) bool { return t.branch == stage })
		switch {
		case i >= 0:
			why = append(why, Evidence{all[i].file, all[i].line, all[i].branch, "a push to this branch deploys that stage"})
		case len(all) == 0 && slices.Contains(f.Branches, stage):
			why = append(why, Evidence{".git", 0, "branch " + stage, "a branch named like that stage"})
		default:
			return
		}
		branches[stage] = stage
	}
	f.layout.branches = branches
	if one := f.layout.stageNames(); len(one) == 1 { // the fallback's
		hub := f.layout.envs[0].hub
		f.layout.envs = nil
		for _, stage := range names {
			f.layout.envs = append(f.layout.envs, scope{hub, stage})
		}
	}
	f.out.Evidence = append(f.out.Evidence, why...)
}

func (f *finder) triggers(file string, find func(y *yamledit.File, doc []byte) []trigger) []trigger {
	doc := f.get(file, maxYAML)
	if doc == nil {
		return nil
	}
	y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 100, Nodes: 100_000})
	if err != nil {
		f.pass(file, "%v", err)
		return nil
	}
	out := find(y, doc)
	for i := range out {
		out[i].file = file
	}
	return out
}

// workflowBranches reads on.push.branches of a GitHub workflow.
func workflowBranches(y *yamledit.File, _ []byte) []trigger {
	var out []trigger
	for _, root := range y.Documents() {
		list := below(root, "on", "push", "branches")
		if list == nil {
			continue
		}
		for _, n := range append([]*yaml.Node{list}, list.Content...) {
			if n.Kind == yaml.ScalarNode {
				out = append(out, trigger{branch: n.Value, line: n.Line})
			}
		}
	}
	return out
}

var gitlabBranch = regexp.MustCompile(`\$CI_COMMIT_(?:BRANCH|REF_NAME)\s*==\s*["']([^"']+)["']`)

// gitlabBranches reads only: and rules: of a GitLab pipeline.
func gitlabBranches(y *yamledit.File, doc []byte) []trigger {
	var out []trigger
	for _, root := range y.Documents() {
		if root == nil || root.Kind != yaml.MappingNode {
			continue
		}
		for i := 1; i < len(root.Content); i += 2 {
			only := below(root.Content[i], "only")
			if refs := below(root.Content[i], "only", "refs"); refs != nil {
				only = refs
			}
			if only == nil {
				continue
			}
			for _, n := range only.Content {
				if n.Kind == yaml.ScalarNode {
					out = append(out, trigger{branch: n.Value, line: n.Line})
				}
			}
		}
	}
	line := 0
	for text := range strings.Lines(string(doc)) {
		line++
		if m := gitlabBranch.FindStringSubmatch(text); m != nil && !strings.HasPrefix(strings.TrimSpace(text), "#") {
			out = append(out, trigger{branch: m[1], line: line})
		}
	}
	return out
}

// below goes down the keys of mappings; nil if there is no such node.
func below(n *yaml.Node, keys ...string) *yaml.Node {
	for _, key := range keys {
		if n == nil || n.Kind != yaml.MappingNode {
			return nil
		}
		var next *yaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				next = n.Content[i+1]
			}
		}
		n = next
	}
	return n
}

// String is the evidence as one line.
func (e Evidence) String() string {
	at := e.File
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return at + ": " + e.Text + " (" + e.Why + ")"
}
