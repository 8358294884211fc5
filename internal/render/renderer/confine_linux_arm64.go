package renderer

import "golang.org/x/sys/unix"

const (
	auditArch = unix.AUDIT_ARCH_AARCH64
	otherABI  = ^uint32(0)
)

var olderCalls []uint32
