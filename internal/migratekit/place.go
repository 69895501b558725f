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

// Sink receives what happens during a run. Fields may be nil.
type Sink struct {
	// Line takes each line of the log, without secrets.
	Line func(text string)
	// Progress takes progress reports, which migratekit for NBD targets sends, every ten seconds for each disk.
	Progress func(Progress)
	// ChangeIDRequested is called before migratekit learns the change ID to copy a disk from. Its
	// snapshot exists until the copy has ended, so the caller may still read it.
	ChangeIDRequested func(ctx context.Context, key int32)
	// ConfirmStall reports whether a copy without progress is to be stopped: false if the copy has ended and something else takes
	// its time.
	ConfirmStall func(ctx context.Context) bool
}
