package migratekit

import (
	"context"
	"net"
)

// Place describes the machine that a job runs on, as far as a target needs it.
type Place struct {
	// Getenv returns a variable of the environment that the job inherits, "" if it is not set.
	Getenv func(name string) string
	// Dial connects to an NBD export from there. It is nil while planning, when exports may not be up yet.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Server returns the ID of the server of OpenStack that the machine is, or an error if it is none.
	Server func(ctx context.Context) (string, error)
}

// With returns a place whose Getenv also knows the variables that a job adds.
func (p Place) With(environment map[string]string) Place {
	inherited := p.Getenv
	p.Getenv = func(name string) string {
		if value, ok := environment[name]; ok {
			return value
		}
		return inherited(name)
	}
	return p
}

// CopyStage is what happens to a disk.
type CopyStage int

// The stages.
const (
	CopyStarted CopyStage = iota
	CopyAdvanced
	CopyEnded
)

// CopyEvent is one thing that happens to a disk.
type CopyEvent struct {
	Stage CopyStage
	// Key is the device key of the disk. It is negative if only Disk, its datastore path, is known, or if that is "" too: then it is the disk that started last.
	Key  int32
	Disk string
	// Full is the kind of the copy, nil if it is not known.
	Full *bool
	// Percent is of the disk; for an increment to OpenStack it is the offset in the disk. Bytes and Total are of the copy. Unknown ones are negative.
	Percent      float64
	Bytes, Total int64
}

// Sink receives what happens during a run. Fields may be nil.
type Sink struct {
	// Line takes each line of the log, without secrets.
	Line func(text string)
	// Copy takes what happens to the disks.
	Copy func(CopyEvent)
	// ChangeIDRequested is called before migratekit learns the change ID to copy a disk from. Its
	// snapshot exists until the copy has ended, so the caller may still read it.
	ChangeIDRequested func(ctx context.Context, key int32)
	// ConfirmStall reports whether a copy without progress is to be stopped: false if the copy has ended and something else takes
	// its time.
	ConfirmStall func(ctx context.Context) bool
}
