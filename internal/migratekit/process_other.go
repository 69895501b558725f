//go:build unix && !linux

package migratekit

import "syscall"

// ownGroup gives the child a process group of its own. Only Linux can tell a
// child that its parent died.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
