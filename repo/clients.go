package repo

import "fmt"

// Clients bound what they read. Sizes in bytes, from their sources: see
// docs/reference/clients.md.
const (
	rancherMost    = 5 << 20  // of an index, and of a package
	fluxMostIndex  = 50 << 20 // of an index
	fluxMostOfFile = 10 << 20 // of a package
)

// tooLargeForSome says which clients cannot read a package.
func tooLargeForSome(size int64) []string {
	switch {
	case size > fluxMostOfFile:
		return []string{fmt.Sprintf("the package has %d bytes: Flux takes %d at most, and Rancher %d", size, fluxMostOfFile, rancherMost)}
	case size > rancherMost:
		return []string{fmt.Sprintf("the package has %d bytes: Rancher takes %d at most", size, rancherMost)}
	}
	return nil
}

// PlainSize is the size of the index in bytes, not compressed.
func (x *Index) PlainSize() int64 {
	size := int64(len(head) + len(x.tail()))
	for _, s := range x.segments {
		size += int64(len(s.plain))
	}
	return size
}

// Unread says how many kinds of clients cannot read the whole index any more, and
// which, and what to give them.
func (x *Index) Unread() (kinds int, what string) { return unread(x.PlainSize()) }

func unread(size int64) (kinds int, what string) {
	const instead = "give them the repository of one chart (charts/NAME) or of an environment"
	switch {
	case size > fluxMostIndex:
		return 2, fmt.Sprintf("the index has %d bytes: Flux takes %d at most, and Rancher %d; %s", size, fluxMostIndex, rancherMost, instead)
	case size > rancherMost:
		return 1, fmt.Sprintf("the index has %d bytes: Rancher takes %d at most; %s", size, rancherMost, instead)
	}
	return 0, ""
}
