//go:build !linux

package registrytest

import "syscall"

func ownProcess() *syscall.SysProcAttr { return nil }
