// Package site knows the places in a deploy repo where a chart version or an
// image is written, and edits them byte-exactly: a site that is missing,
// doubled, shared or generated is refused with its place.
//
// # Kinds
//
// dependency: the item of "dependencies" with a name, in requirements.yaml or
// Chart.yaml. Its version is written, and its repository when asked. A
// Chart.lock or requirements.lock beside it follows, digest included, whether
// a helm-lock site names it or not.
//
// image: a mapping with tag, and name or repository. The digest goes into the
// key "digest" where there is one, else into the tag (TAG@sha256:…).
//
// image-ref: one scalar that holds REPOSITORY:TAG or REPOSITORY:TAG@sha256:….
//
// from: the FROM of a Dockerfile, also through an ARG with a default. It is
// found by the repository's path, whatever the host; the tag is written, and
// the digest where there was one.
//
// marker: a value in any text file that a comment marks.
//
// # Paths
//
// A path is made of keys joined by dots; a dot, star or backslash in a key has
// a backslash before it. A star stands for any item of a sequence: which one
// is then told by the current repository, never by its number. As many places
// must match as the site's count says, and one without a count.
//
// # Markers
//
// A marker is a comment at the end of a line, or alone on the line above:
//
//	# chartctl: KEY [@LABEL]
//
// led in by #, //, --, ; <!-- or /*. The value is the last one on the marked
// line: what stands in the quotes at its end, or else the last run of
// characters without white space, quotes, parentheses, "=" and ",". A comma, a
// semicolon, a closing bracket or a backslash at the end of the line is left
// alone.
//
//	chart.version            3.3.8
//	chart.source             https://charts.example.edu
//	chart.digest             sha256:…
//	image.ROLE               quay.io/example/hub:3.3.8@sha256:…
//	image.ROLE.repository    quay.io/example/hub
//	image.ROLE.tag           3.3.8, with @sha256:… where there is one already
//	image.ROLE.digest        sha256:…
//	base.ROLE…               the same for the image that ROLE is built on
//
// The label tells apart several marks with one key in one file.
package site
