package cbt

// Catalogue returns a finding without a problem for each code, worst first.
func Catalogue() []Finding {
	var all []Finding
	for _, r := range []rule{
		hostDisconnected, notAccessible, template, hardwareVersion, cbtUnsupported, faultTolerance, snapshotsLocked, snapshotsUnsupported, sharedBus,
		methodDisabled, existingSnapshots, snapshotChain, noDisk, noTrackableDisk, missingPrivilege,
		physicalRDM, independentDisk, multiWriter, persistentMemory, oldDiskFormat, unknownBacking, encrypted, leftoverSnapshot,
		hostDefect, consolidation, toolsNotRunning, suspended, seSparse, readPrivilege, duplicateUUID, unusablePath, virtualTPM,
		secureBoot, encryptedSource, otherSnapshots, cbtDisabled, cbtUninitialized,
	} {
		all = append(all, r.found(""))
	}
	return all
}
