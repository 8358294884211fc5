//go:build !unix

package rollout

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

func signalGroup(cmd *exec.Cmd, _ os.Signal) {
	_ = cmd.Process.Kill() // nothing gentler exists; it may have ended already
}

func exitCode(p *os.ProcessState) int { return p.ExitCode() }
