package cbt

import (
	"fmt"
	"strconv"
	"strings"
)

// ChangeID is a parsed change ID, "<epoch>/<sequence>". The epoch is opaque: once it changes, all older IDs are
// invalid. The sequence grows with each snapshot.
type ChangeID struct {
	Epoch    string
	Sequence int64
}

// ParseChangeID splits a change ID at its last slash. It needs an epoch, and a number as the sequence.
func ParseChangeID(id string) (ChangeID, error) {
	i := strings.LastIndex(id, "/")
	if i <= 0 {
		return ChangeID{}, fmt.Errorf("parse change ID %q: want <epoch>/<sequence>", id)
	}
	sequence, err := strconv.ParseUint(id[i+1:], 10, 63) // digits only, no sign
	if err != nil {
		return ChangeID{}, fmt.Errorf("parse change ID %q: the sequence after the last slash is not a number", id)
	}
	return ChangeID{Epoch: id[:i], Sequence: int64(sequence)}, nil
}

// Epoch returns the epoch of a change ID, or "" if the ID cannot be parsed.
func Epoch(id string) string {
	parsed, err := ParseChangeID(id)
	if err != nil {
		return ""
	}
	return parsed.Epoch
}

// Kind is the kind of a copy, of one disk or of a whole VM.
type Kind string

// The kinds of copy. Mixed means that the disks of a VM were copied in different ways.
const (
	Full        Kind = "full"
	Incremental Kind = "incremental"
	Mixed       Kind = "mixed"
)

// NextCycle returns the kind of a disk's next copy, from the change ID copied last and the current one ("" if none).
func NextCycle(previous, current string) (kind Kind, reason string) {
	return nextCopy(Epoch(previous), Epoch(current))
}

// nextCopy is NextCycle for epochs.
func nextCopy(before, epoch string) (kind Kind, reason string) {
	switch {
	case before == "":
		return Full, "no change ID yet"
	case epoch == "":
		return Full, "tracking is off and will start anew"
	case before != epoch:
		return Full, fmt.Sprintf("epoch changed from %s to %s", before, epoch)
	}
	return Incremental, ""
}
