package progress

import "os"

// isAlive reports whether a process runs on this machine.
func isAlive(pid int) bool {
	process, err := os.FindProcess(pid) // on Windows it opens the process
	if err != nil {
		return false
	}
	_ = process.Release()
	return true
}
