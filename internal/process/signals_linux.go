package process

import "syscall"

// orphanSignal is the signal that the guard sends to orphans: none, since the parent-death signal came before, and a second one could
// interrupt their cleanup.
const orphanSignal = "0"

// ownGroup puts the child into its own process group, so that a Ctrl-C in the terminal reaches it only once, through us, and
// has Linux terminate it if this process dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
