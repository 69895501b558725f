package migratekit

import "syscall"

// ownGroup gives the child a process group of its own, so that a Ctrl-C in the
// terminal reaches it once, through us; and it is told to end where this
// process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
