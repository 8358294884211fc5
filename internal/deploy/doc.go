// Package deploy works on a deploy repo: the checkout in which the sites of
// chart and image are written, what its lock file says of them, and the plan of
// a change of both.
package deploy
