package migratekit

import "syscall"

// orphanSignal is what the guard sends to orphans: none, since Linux itself
// tells the child that its parent died, and a second signal could cut short
// what the first one made it tidy up.
const orphanSignal = "0"

// ownGroup gives the child a process group of its own, so that a Ctrl-C in the
// terminal reaches it once, through us; and it is told to end where this
// process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
