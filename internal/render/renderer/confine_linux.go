package renderer

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spare is what Go's runtime needs besides what it allocates for us: its own
// tables, and memory that is free and not yet given back.
const spare = 64 << 20

// confine takes from the process what it needs not, before it reads anything,
// and says by what it is confined. What this system cannot do is left out.
func confine(l limits) []string {
	var by []string
	set := func(what string, resource int, value int64) {
		if unix.Setrlimit(resource, &unix.Rlimit{Cur: uint64(value), Max: uint64(value)}) == nil {
			by = append(by, what)
		}
	}
	set("processor time", unix.RLIMIT_CPU, l.cpu)
	set("memory", unix.RLIMIT_DATA, l.memory+spare)
	set("file size", unix.RLIMIT_FSIZE, 0)
	set("open files", unix.RLIMIT_NOFILE, 16)
	set("core files", unix.RLIMIT_CORE, 0)
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // what is served goes first
	if err := filterCalls(); err != nil {
		fmt.Fprintln(os.Stderr, "system calls are not filtered:", err)
		return by
	}
	return append(by, "system calls")
}

// refusedCalls open files, reach the network, start programs, or reach other
// processes.
var refusedCalls = append([]uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_READLINKAT, unix.SYS_MKDIRAT, unix.SYS_MKNODAT,
	unix.SYS_UNLINKAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT, unix.SYS_TRUNCATE, unix.SYS_FCHMODAT, unix.SYS_FCHOWNAT,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_PIDFD_OPEN, unix.SYS_KILL, unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_CHROOT,
	unix.SYS_IO_URING_SETUP, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY,
	unix.SYS_REQUEST_KEY, unix.SYS_SHMGET, unix.SYS_MEMFD_CREATE,
}, olderCalls...)

// Offsets in struct seccomp_data.
const (
	offsetCall = 0
	offsetArch = 4
	offsetArg0 = 16
)

// filterCalls has the kernel answer EPERM to refusedCalls, and to clone but
// for threads, on all threads. The arguments of clone3 lie in memory, where a
// filter does not see them: it is said not to exist, and the C library then
// takes clone.
func filterCalls() error {
	deny := uint32(unix.SECCOMP_RET_ERRNO | unix.EPERM)
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	jump := func(test uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	program := []unix.SockFilter{
		load(offsetArch), jump(unix.BPF_JEQ, auditArch, 1, 0), answer(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetCall), jump(unix.BPF_JGE, otherABI, 0, 1), answer(deny),
	}
	program = append(program, jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1), answer(uint32(unix.SECCOMP_RET_ERRNO|unix.ENOSYS)))
	for _, call := range refusedCalls {
		program = append(program, jump(unix.BPF_JEQ, call, 0, 1), answer(deny))
	}
	program = append(program, jump(unix.BPF_JEQ, unix.SYS_CLONE, 0, 3), load(offsetArg0),
		jump(unix.BPF_JSET, unix.CLONE_THREAD, 1, 0), answer(deny), answer(unix.SECCOMP_RET_ALLOW))

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	f := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	other, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&f)))
	if errno != 0 {
		return errno
	}
	if other != 0 {
		return fmt.Errorf("thread %d keeps its own filter", other)
	}
	return nil
}
