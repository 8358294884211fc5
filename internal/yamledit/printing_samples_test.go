package yamledit_test

import "strings"

// sampleEdit is one edit that somebody could want, in a file that somebody could have.
type sampleEdit struct {
	name, path, value string
	doc               string
}

// lines ends each of its lines with LF.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }

var samples = []sampleEdit{
	{"a dependency under a comment, list indented by one", "dependencies.0.version", "3.3.9", lines(
		"dependencies:", " - name: jupyterhub", "   # the image is built FROM this one", "   version: 3.3.8", "   repository: https://charts.example.edu", "",
		" - name: cert-manager", "   version: v1.14.0")},
	{"a version that looks like a number", "dependencies.0.version", "1.10", lines(
		"dependencies:", "- name: support", "  version: 1.9")},
	{"blank lines between sections", "jupyterhub.hub.image.tag", "2024.5.1", lines(
		"jupyterhub:", "", "  hub:", "    image:", "      name: quay.io/berkeley/hub", "      tag: 2024.4.9", "", "", "  proxy:", "    https:", "      enabled: true")},
	{"comments in a column", "image.tag", "2024.5.1", lines(
		"image:", "  name: quay.io/berkeley/hub   # built by CI", "  tag: 2024.4.9                # moved by chartctl", "  pullPolicy: Always           # see the handbook")},
	{"comments that are not indented like their values", "hub.tag", "2024.5.1", lines(
		"hub:", "  tag: 2024.4.9", "# old:", "#   tag: 2023.1.1", "  # another", "  replicas: 1", "    # deeper", "proxy: {}")},
	{"indent of four, lists not indented", "hub.image.tag", "2024.5.1", lines(
		"hub:", "    image:", "        tag: 2024.4.9", "    extraVolumes:", "    -   name: data", "        size: 1Gi", "    - name: logs")},
	{"lists of both kinds", "tag", "2024.5.1", lines(
		"tag: 2024.4.9", "a:", "- one", "- two", "b:", "  - three", "  - four")},
	{"flow maps and lists with spaces", "images.0.tag", "2024.5.1", lines(
		"images: [ { name: hub,  tag: '2024.4.9' }, {name: user, tag: \"7\"} ]", "args: [ --debug,", "        --port=80 ]")},
	{"a quoted tag beside other quotes", "tag", "2024.5.1", lines(
		"tag: \"2024.4.9\"", "title: \"caf\\u00e9 \\x41\"", "'quoted key': 'it''s'", "path: \"a\\tb\"")},
	{"anchors, an alias and a merge key", "prod.tag", "2024.5.1", lines(
		"base: &base", "  cpu: 1", "  memory: 1Gi", "staging:", "  <<: *base", "  tag:  2024.4.9", "prod:", "  <<:  *base", "  tag:   2024.4.8")},
	{"a long line", "tag", "2024.5.1", lines(
		"tag: 2024.4.9", "motd: "+strings.Repeat("all work and no play makes a long line ", 4)+"end", "after: x")},
	{"values over several lines", "tag", "2024.5.1", lines(
		"tag: 2024.4.9", "folded: >-", "  one", "  two", "", "  three", "plain: one", "  two", "quoted: \"one", "  two\"")},
	{"a script in a block", "tag", "2024.5.1", lines(
		"tag: 2024.4.9", "config.py: |", "  # comment", "  c.JupyterHub.x = 1   ", "", "  if y:", "  \tpass", "after: x")},
	{"numbers, booleans and dates as written", "tag", "2024.5.1", lines(
		"tag: 2024.4.9", "mode: 0644", "big: 1_000_000", "hex: 0xFF", "float: 1.50", "yes: no", "when: 2024-04-09", "null: ~", "empty:")},
	{"two documents and their markers", "tag", "2024.5.1", lines(
		"---", "tag: 2024.4.9", "---", "# second", "other: 1", "...")},
	{"CR LF", "image.tag", "2024.5.1", "image:\r\n  name: hub\r\n  tag: 2024.4.9\r\nreplicas: 1\r\n"},
	{"no line end at the end", "tag", "2024.5.1", "name: hub\ntag: 2024.4.9"},
	{"a byte order mark", "tag", "2024.5.1", "\ufefftag: 2024.4.9\nname: hub\n"},
	{"a value behind an alias", "prod.tag", "2024.5.1", lines(
		"staging: &s", "  tag: 2024.4.9", "prod: *s")},
	{"a key that is given twice", "tag", "2024.5.1", lines(
		"tag: 2024.4.9", "name: hub", "tag: 2024.4.8")},
}
