// Command launch runs another program and writes what it took to the file
// descriptor 3: elapsed and CPU time in nanoseconds, and peak memory in
// kilobytes. The kernel counts what the starting process had resident towards
// the peak of the one that it starts; this one is small, the benchmark is not.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

func main() {
	syscall.CloseOnExec(3)
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	s := cmd.ProcessState
	peak := s.SysUsage().(*syscall.Rusage).Maxrss
	if _, err := fmt.Fprintln(os.NewFile(3, "cost"), int64(took), int64(s.UserTime()+s.SystemTime()), peak); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(127)
	}
	os.Exit(s.ExitCode())
}
