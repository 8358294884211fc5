package boltstore

import "go.etcd.io/bbolt"

// fillPercent is how full bbolt leaves a page that it splits. Half is right
// where keys come in between: a fuller page would be split at once again. Keys
// that only grow never come back to a page, so theirs are filled.
func fillPercent(bucket string) float64 {
	switch bucket {
	case "journal", "generations", "keytimes":
		return 1
	}
	return bbolt.DefaultFillPercent
}
