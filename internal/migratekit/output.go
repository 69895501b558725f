package migratekit

import (
	"bytes"
	"io"
	"regexp"
	"strconv"
	"strings"
)

const (
	// tailLines is how much of the output an error shows.
	tailLines = 20
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
	// Completed says that it logged the end of a migration or of a cutover.
	Completed bool
	// Copies are in the order of its log, one or more for a disk.
	Copies []Copy
	// Tail are the last lines of the output, without secrets.
	Tail []string
}

// output takes what the child prints, line by line: without secrets into the
// log file, and into the outcome. Progress bars, which end in a carriage
// return, are left out. It is used by one goroutine.
type output struct {
	log     io.Writer
	redact  *strings.Replacer
	outcome Outcome
	partial []byte
}

var ansi = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

func (o *output) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		i := bytes.IndexAny(p, "\r\n")
		if i < 0 {
			o.partial = append(o.partial, p...)
			if len(o.partial) > maxLine {
				o.flush()
			}
			break
		}
		o.partial = append(o.partial, p[:i]...)
		if p[i] == '\n' || (i+1 < len(p) && p[i+1] == '\n') {
			o.flush()
		}
		o.partial = o.partial[:0]
		p = p[i+1:]
	}
	return written, nil
}

// flush ends the line that was begun.
func (o *output) flush() {
	line := o.redact.Replace(ansi.ReplaceAllString(string(o.partial), ""))
	o.partial = o.partial[:0]
	if strings.TrimSpace(line) == "" {
		return
	}
	_, _ = io.WriteString(o.log, line+"\n") // a full disk must not end the copy
	o.outcome.Tail = append(o.outcome.Tail, line)
	if extra := len(o.outcome.Tail) - tailLines; extra > 0 {
		o.outcome.Tail = o.outcome.Tail[extra:]
	}
	o.outcome.note(line)
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
	case "Migration completed", "Cutover completed":
		o.Completed = true
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
