// Package gitrepo asks git about a checkout. No hook, filter or shell of the
// repository is ever run.
package gitrepo
