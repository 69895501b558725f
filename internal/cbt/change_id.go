package cbt

import (
	"fmt"
	"strconv"
	"strings"
)

// ChangeID is a point in the life of a disk, "<epoch>/<sequence>". The epoch is
// opaque: it changes when tracking starts anew, and every older ID is then
// worthless. The sequence grows with each snapshot.
type ChangeID struct {
	Epoch    string
	Sequence int64
}

// ParseChangeID splits a change ID at its last slash. An ID without an epoch or
// whose sequence is no number is an error.
func ParseChangeID(id string) (ChangeID, error) {
	i := strings.LastIndex(id, "/")
	if i <= 0 {
		return ChangeID{}, fmt.Errorf("parse change ID %q: want <epoch>/<sequence>", id)
	}
	sequence, err := strconv.ParseUint(id[i+1:], 10, 63) // digits alone, no sign
	if err != nil {
		return ChangeID{}, fmt.Errorf("parse change ID %q: the sequence after the last slash is no number", id)
	}
	return ChangeID{Epoch: id[:i], Sequence: int64(sequence)}, nil
}

// Epoch is the epoch of a change ID, "" where it is none.
func Epoch(id string) string {
	parsed, err := ParseChangeID(id)
	if err != nil {
		return ""
	}
	return parsed.Epoch
}

// Kind is what a copy of a disk, or of all of them, is.
type Kind string

// The kinds of copy; Mixed is for several disks that were copied differently.
const (
	Full        Kind = "full"
	Incremental Kind = "incremental"
	Mixed       Kind = "mixed"
)

// NextCycle tells what the next copy of a disk is, from the change ID that was
// copied last and the one that it has now; "" stands for none.
func NextCycle(previous, current string) (kind Kind, reason string) {
	before, now := Epoch(previous), Epoch(current)
	switch {
	case before == "":
		return Full, "no change ID yet"
	case now == "":
		return Full, "tracking is off and will start anew"
	case before != now:
		return Full, fmt.Sprintf("epoch changed from %s to %s", before, now)
	}
	return Incremental, ""
}
