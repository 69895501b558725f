package cbt

import (
	"strconv"
	"strings"
)

// consolidationFixed is the build of ESXi600-201511001, the first ESXi 6.0 that records what changes during a consolidation. Source: KB 2136854
// (article 317933).
const consolidationFixed = 3247720

// HostDefect returns the published CBT defect of the VM's host: change IDs stay valid there, and the changed areas are wrong. ok is false if no
// defect of its version is published, or if the account cannot read the host.
func (s *Status) HostDefect() (f Finding, ok bool) {
	version, build := s.VM.HostProduct.Version, s.VM.HostProduct.Build
	host := "its host runs ESXi " + version + " build " + build
	switch {
	case strings.HasPrefix(version, "4.") || strings.HasPrefix(version, "5."):
		// The article names no build that fixes 5.x. Source: KB 2090639 (article 310751).
		return hostDefect.found("%s: ESXi 4 and early ESXi 5 lose changes of a disk that grew past a multiple of 128 GB (VMware KB 2090639)", host), true
	case strings.HasPrefix(version, "6.0") && number(build) < consolidationFixed:
		return hostDefect.found("%s: ESXi 6.0 before build %d loses changes during the consolidation of a snapshot (VMware KB 2136854)", host, consolidationFixed), true
	}
	return Finding{}, false
}

// number returns 0 for a build that is not a number, which no release has.
func number(build string) int {
	n, _ := strconv.Atoi(build)
	return n
}
