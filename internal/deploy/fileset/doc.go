// Package fileset changes several files of a checkout as one: they are staged
// and journalled first, renamed in after the commit point, and a later run
// finishes or discards what was interrupted. Nothing outside the checkout is
// touched.
package fileset
