//go:build unix && !linux

package process

import "syscall"

// orphanSignal is the signal that the guard sends to orphans, because only Linux has a parent-death signal.
const orphanSignal = "TERM"

// ownGroup puts the child into its own process group, so that a Ctrl-C in the terminal reaches it only once, through us.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
