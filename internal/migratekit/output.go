package migratekit

import (
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// tailLines is how much of the output an error shows.
	tailLines = 20
	// maxTailLine bounds a line of it, in bytes.
	maxTailLine = 500
	// maxLine bounds one line of output, in bytes; the rest of it is a new one.
	maxLine = 64 << 10
)

// Copy is how migratekit copied one disk.
type Copy struct {
	// Disk is the datastore path that it logs, "[ds] vm/vm.vmdk".
	Disk string
	// Full is false for an incremental copy.
	Full bool
}

// Outcome is what migratekit's log says that happened.
type Outcome struct {
	// Started is false where it could not even be started.
	Started bool
	// Completed says that it logged the end of a migration, CutOver that of a
	// cutover.
	Completed, CutOver bool
	// Copies are in the order of its log, one or more for a disk.
	Copies []Copy
	// Tail are the last lines of the output, without secrets.
	Tail []string
}

// output takes what the child prints, line by line: without secrets into the
// log file, and into the outcome. Progress bars, which end in a carriage
// return, are left out.
type output struct {
	mu      sync.Mutex
	ended   bool // nothing is taken any more
	log     io.Writer
	redact  *strings.Replacer
	longest int // of the secrets' forms, in bytes
	outcome Outcome
	partial []byte
	// returned says that the line ended in a carriage return: a progress bar,
	// unless a line feed follows.
	returned bool
}

var ansi = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ended {
		return len(p), nil
	}
	for _, c := range p {
		switch {
		case c == '\n':
			o.flush()
			continue
		case o.returned && c != '\r':
			o.partial = o.partial[:0]
		}
		o.returned = c == '\r'
		if o.returned {
			continue
		}
		if o.partial = append(o.partial, c); len(o.partial) >= maxLine+o.longest {
			o.cut()
		}
	}
	return len(p), nil
}

func (o *output) started(started bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcome.Started = started
}

// end gives what was learned, and takes no more.
func (o *output) end() Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	o.ended = true
	return o.outcome
}

// cut ends a line that has no end. What could be the beginning of a secret
// stays for the next one.
func (o *output) cut() {
	whole := o.redact.Replace(string(o.partial))
	keep := o.longest
	for keep > 0 && !strings.HasSuffix(whole, string(o.partial[len(o.partial)-keep:])) {
		keep-- // a secret that is whole reaches into it, and goes with this line
	}
	rest := slices.Clone(o.partial[len(o.partial)-keep:])
	o.partial = o.partial[:len(o.partial)-keep]
	o.flush()
	o.partial = append(o.partial, rest...)
}

// flush ends the line that was begun. It learns from the line as it is, and
// writes it without secrets.
func (o *output) flush() {
	line := ansi.ReplaceAllString(string(o.partial), "")
	o.partial, o.returned = o.partial[:0], false
	if strings.TrimSpace(line) == "" {
		return
	}
	o.outcome.note(line)
	line = o.redact.Replace(line)
	_, _ = io.WriteString(o.log, line+"\n") // a full disk must not end the copy
	if len(line) > maxTailLine {
		line = strings.ToValidUTF8(line[:maxTailLine], "") + " …"
	}
	o.outcome.Tail = append(o.outcome.Tail, line)
	if extra := len(o.outcome.Tail) - tailLines; extra > 0 {
		o.outcome.Tail = o.outcome.Tail[extra:]
	}
}

// note learns from one line. The messages are migratekit's own; a level says
// nothing, since errors are logged in runs that succeed.
func (o *Outcome) note(line string) {
	fields := logfmt(line)
	switch fields["msg"] {
	case "Starting full copy":
		o.Copies = append(o.Copies, Copy{Disk: fields["disk"], Full: true})
	case "Starting incremental copy":
		o.Copies = append(o.Copies, Copy{Disk: fields["disk"]})
	case "Migration completed":
		o.Completed = true
	case "Cutover completed":
		o.CutOver = true
	}
}

var logfmtPair = regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*"|\S*)`)

// logfmt reads the pairs of a line that logrus wrote, in whatever order.
func logfmt(line string) map[string]string {
	fields := map[string]string{}
	for _, match := range logfmtPair.FindAllStringSubmatch(line, -1) {
		value := match[2]
		if unquoted, err := strconv.Unquote(value); err == nil {
			value = unquoted
		}
		fields[match[1]] = value
	}
	return fields
}
