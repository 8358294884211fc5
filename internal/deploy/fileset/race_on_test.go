//go:build race

package fileset_test

const underRace = true
