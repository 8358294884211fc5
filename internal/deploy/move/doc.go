// Package move takes environments to another pair and brings the files of a
// deploy repo to it, as one act: it plans, stages the files, asks for the pins,
// settles what became of them, and finishes the files.
//
// The commit of the pins on the server is the commit point: before it
// everything stays as it was, after it there is only forward. A pin whose
// answer was lost is settled by fencing its key, so that "nothing was pinned"
// stays true. What a killed process left is found in the journal of the files
// and settled the same way. Nothing here prints: a command gets an outcome,
// with an error too.
package move
