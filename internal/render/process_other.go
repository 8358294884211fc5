//go:build !linux

package render

import (
	"os"
	"syscall"
)

func ownProgram() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

func attributes(bool) *syscall.SysProcAttr { return nil }

func killGroup(p *os.Process) { _ = p.Kill() }

func isNoNamespace(error) bool { return false }

func peakMemory(*os.ProcessState) int64 { return 0 }

func wasKilled(s *os.ProcessState) bool { return !s.Exited() }
