//go:build unix

package progress

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// isAlive reports whether a process runs on this machine.
func isAlive(pid int) bool {
	if pid <= 0 {
		return false
	}
	// A process that nobody reaps, as in a container, is dead. Its state follows its name, which is in parentheses.
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		if _, rest, ok := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " "); ok && strings.HasPrefix(rest, "Z") {
			return false
		}
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM) // another user's
}
