//go:build onethread

package main

import "runtime"

// A crash test counts the system calls of each thread: what chartctl does to
// files has to be on one.
func init() { runtime.LockOSThread() }
