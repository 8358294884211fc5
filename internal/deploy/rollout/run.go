package rollout

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// limits say when a command is told to stop (zero is never), and how long it
// may take to end then.
type limits struct{ run, end time.Duration }

// endTime is the usual one.
const endTime = 30 * time.Second

// timedOut is the exit code of a command that took too long, as timeout(1) has it.
const timedOut = 124

// ended says how a command went.
type ended struct {
	Code    int // its exit code; 128+n for a signal, as a shell has it
	Took    time.Duration
	Stopped string // why it was told to stop; "" if it was not
}

// passed takes nobody's word who was told to stop: a script that ends in peace
// on SIGTERM has not done its work.
func (e ended) passed() bool { return e.Code == 0 && e.Stopped == "" }

// signals are those that end chartctl by default, and go to the command
// instead. One that was ignored when chartctl began, as by nohup, stays so.
func signals() (<-chan os.Signal, func()) {
	c := make(chan os.Signal, 8)
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signal.Notify(c, s)
		}
	}
	return c, func() { signal.Stop(c) }
}

// supervise runs a command to its end. What comes in by stop goes to the
// command and all that it started; then it is waited for, however long it
// takes. Only one that ran out of time is killed in the end.
func supervise(cmd *exec.Cmd, limit limits, stop <-chan os.Signal) (ended, error) {
	ownGroup(cmd)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return ended{}, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	var late, kill <-chan time.Time
	if limit.run > 0 {
		late = time.After(limit.run)
	}
	var e ended
	fallback := 0
	for {
		select {
		case s := <-stop:
			e.Stopped, fallback = "told to stop by signal "+s.String(), 128+number(s)
			signalGroup(cmd, s)
		case <-late:
			e.Stopped, fallback = "stopped after the time limit of "+limit.run.String(), timedOut
			signalGroup(cmd, syscall.SIGTERM)
			kill = time.After(limit.end)
		case <-kill:
			signalGroup(cmd, syscall.SIGKILL)
		case err := <-done:
			e.Took, e.Code = time.Since(began), exitCode(cmd.ProcessState)
			if e.Stopped != "" && (e.Code == 0 || fallback == timedOut) {
				e.Code = fallback
			}
			if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
				err = nil
			}
			return e, err
		}
	}
}

func number(s os.Signal) int {
	n, _ := s.(syscall.Signal)
	return int(n)
}
