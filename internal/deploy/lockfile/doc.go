// Package lockfile is the format of chartd.lock, the file in a deploy repo
// that says which chart and images each environment is pinned to. One fact
// stands on one line that starts with its key, and every entry carries the sum
// of its lines, so that a merge can neither mix two entries nor two pins of
// one unseen. What Parse takes is byte for byte what Bytes writes.
package lockfile
