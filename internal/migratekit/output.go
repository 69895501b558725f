package migratekit

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	// tailLines is how many lines of output an error shows.
	tailLines = 20
	// maxTailLine bounds one of them, in bytes.
	maxTailLine = 500
	// maxLine bounds one line of output, in bytes; a longer one is split.
	maxLine = 64 << 10
)

// Copy is how migratekit copied one disk.
type Copy struct {
	// Disk is the datastore path that migratekit logs, "[ds] vm/vm.vmdk".
	Disk string
	Full bool
}

// Outcome is what a run did, according to its output and to the change-ID store.
type Outcome struct {
	// Started is false if migratekit could not be started.
	Started bool
	// Completed and CutOver report whether the log has "Migration completed" and "Cutover completed".
	Completed, CutOver bool
	// Copies are in the order of the log, one or more for each disk.
	Copies []Copy
	// ChangeIDs were filed in the change-ID store, by device key; migratekit files one after a disk was copied.
	ChangeIDs map[int32]string
	// Tail has the last lines of the output, without secrets.
	Tail []string
}

// Output parses what migratekit prints. It passes each line on without secrets,
// and leaves progress bars out, which end in a carriage return.
type Output struct {
	redactor *Redactor
	line     func(string)

	mu      sync.Mutex
	ended   bool
	outcome Outcome
	partial []byte
	// returned is true after a carriage return: the line was a progress bar unless a line feed follows.
	returned bool
}

// NewOutput returns a parser that calls line for each line.
func NewOutput(redactor *Redactor, line func(string)) *Output {
	return &Output{redactor: redactor, line: line}
}

var ansi = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)

// Write implements io.Writer. It never fails, and ignores what comes after End.
func (o *Output) Write(p []byte) (int, error) {
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
		if o.partial = append(o.partial, c); len(o.partial) >= maxLine+o.redactor.longest {
			o.split()
		}
	}
	return len(p), nil
}

// End returns the outcome, and ends parsing.
func (o *Output) End() Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
	o.ended = true
	return o.outcome
}

// split ends a line that is too long. Its end may be the beginning of a secret, so that part moves to the next line.
func (o *Output) split() {
	whole := o.redactor.Redact(string(o.partial))
	keep := o.redactor.longest
	for keep > 0 && !strings.HasSuffix(whole, string(o.partial[len(o.partial)-keep:])) {
		keep-- // a complete secret reaches into it, and was redacted
	}
	rest := slices.Clone(o.partial[len(o.partial)-keep:])
	o.partial = o.partial[:len(o.partial)-keep]
	o.flush()
	o.partial = append(o.partial, rest...)
}

// flush ends the line. It is parsed with secrets, which may be part of a disk's path, and passed on without.
func (o *Output) flush() {
	line := ansi.ReplaceAllString(string(o.partial), "")
	o.partial, o.returned = o.partial[:0], false
	if strings.TrimSpace(line) == "" {
		return
	}
	o.outcome.parse(line)
	line = o.redactor.Redact(line)
	o.line(line)
	if len(line) > maxTailLine {
		line = strings.ToValidUTF8(line[:maxTailLine], "") + " …"
	}
	o.outcome.Tail = append(o.outcome.Tail, line)
	if extra := len(o.outcome.Tail) - tailLines; extra > 0 {
		o.outcome.Tail = o.outcome.Tail[extra:]
	}
}

// parse ignores levels, because migratekit logs errors in runs that succeed.
func (o *Outcome) parse(line string) {
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

// logfmt parses a line of logrus, whose keys come in any order.
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
