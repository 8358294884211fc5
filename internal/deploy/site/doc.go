// Package site knows the places in a deploy repo where a chart version or an
// image is written, and edits them byte-exactly: a site that is missing,
// doubled, shared or generated is refused with its place.
package site
