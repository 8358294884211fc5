package registrytest

import "syscall"

// ownProcess keeps the terminal's interrupt from the registry, so that Stop
// ends it in order, and lets it end with a parent that was killed.
func ownProcess() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
