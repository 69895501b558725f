//go:build unix && !linux

package migratekit

import "syscall"

// orphanSignal is what the guard sends to orphans: only Linux can tell a child
// itself that its parent died.
const orphanSignal = "TERM"

// ownGroup gives the child a process group of its own, so that a Ctrl-C in the
// terminal reaches it once, through us.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
