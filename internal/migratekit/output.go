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

// Outcome is what a run did, according to its output and to the requests that it made.
type Outcome struct {
	// Started is false if migratekit could not be started.
	Started bool
	// Completed and CutOver report whether the log has "Migration completed" and "Cutover completed".
	Completed, CutOver bool
	// Copies are in the order of the log, one or more for each disk.
	Copies []Copy
	// FullDone are the disks whose full copy is complete according to the log, as Copy has them.
	FullDone []string
	// FullCopies has the kinds of the copies that progress reports tell, by device key.
	FullCopies map[int32]bool
	// Unreported says why no progress reports were received, "" if they could be.
	Unreported string
	// ChangeIDs were filed in the change-ID store, by device key; migratekit files one after a disk was copied.
	ChangeIDs map[int32]string
	// Tail has the "Error:" lines of the output and what led to them, else its last lines, without secrets and usage text.
	Tail []string
}

// CopyEvents are called as migratekit copies. Fields may be nil.
type CopyEvents struct {
	Started func(c Copy)
	// Progress is called with percent or bytes. A value that does not change is no progress.
	Progress func(amount int64)
	Ended    func()
}

// Output parses what migratekit prints. It passes each line on without secrets. Progress bars are not lines: one begins with a carriage
// return and has no end, so that the next line is glued to it.
type Output struct {
	redactor *Redactor
	line     func(string)
	events   CopyEvents

	mu      sync.Mutex
	ended   bool
	outcome Outcome
	partial []byte
	// returned is true after a carriage return.
	returned bool
	// usage is true inside the usage text, which follows each error.
	usage bool
	// failed is true after an "Error:" line.
	failed bool
}

// NewOutput returns a parser that calls line for each line, and events for what the lines and bars show.
func NewOutput(redactor *Redactor, line func(string), events CopyEvents) *Output {
	return &Output{redactor: redactor, line: line, events: events}
}

var (
	ansi = regexp.MustCompile(`\x1b\[[0-9;?]*[ -/]*[@-~]`)
	// bar is a progress bar of migratekit for OpenStack.
	bar = regexp.MustCompile(`^\s*(?:Full copy|Incremental copy)\s+(\d+)%`)
	// afterBar is the beginning of a line that is glued to a bar.
	afterBar = regexp.MustCompile(`\b[a-z_]+=|Error: `)
)

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
			o.withoutBar(ansi.ReplaceAllString(string(o.partial), ""))
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

// withoutBar takes a progress bar off the beginning of a line.
func (o *Output) withoutBar(line string) string {
	match := bar.FindStringSubmatch(line)
	if match == nil {
		return line
	}
	if percent, err := strconv.ParseInt(match[1], 10, 64); err == nil && o.events.Progress != nil {
		o.events.Progress(percent)
	}
	if at := afterBar.FindStringIndex(line); at != nil {
		return line[at[0]:]
	}
	return ""
}

// flush ends the line. It is parsed with secrets, which may be part of a disk's path, and passed on without.
func (o *Output) flush() {
	line := o.withoutBar(ansi.ReplaceAllString(string(o.partial), ""))
	o.partial, o.returned = o.partial[:0], false
	if strings.TrimSpace(line) == "" {
		return
	}
	o.parse(line)
	line = o.redactor.Redact(line)
	o.line(line)
	isError := strings.HasPrefix(line, "Error: ")
	switch {
	case isError:
		o.usage = false
	case strings.HasPrefix(line, "Usage:"):
		o.usage = true
	case strings.HasPrefix(line, "time="):
		o.usage = false
	}
	if o.usage || (o.failed && !isError) { // nothing after an error tells more about it
		return
	}
	o.failed = o.failed || isError
	if len(line) > maxTailLine {
		line = strings.ToValidUTF8(line[:maxTailLine], "") + " …"
	}
	o.outcome.Tail = append(o.outcome.Tail, line)
	if extra := len(o.outcome.Tail) - tailLines; extra > 0 {
		o.outcome.Tail = o.outcome.Tail[extra:]
	}
}

// parse ignores levels, because migratekit logs errors in runs that succeed. The build for NBD targets writes "parallel", and an emoji
// before.
func (o *Output) parse(line string) {
	fields := logfmt(line)
	message := strings.Replace(fields["msg"], "Starting parallel ", "Starting ", 1)
	switch {
	case strings.HasSuffix(message, "Starting full copy"):
		o.startCopy(Copy{Disk: fields["disk"], Full: true})
	case strings.HasSuffix(message, "Starting incremental copy"):
		o.startCopy(Copy{Disk: fields["disk"]})
	case message == "Full copy completed":
		if len(o.outcome.FullDone) < maxCopies {
			o.outcome.FullDone = append(o.outcome.FullDone, fields["disk"])
		}
		if o.events.Ended != nil {
			o.events.Ended()
		}
	case message == "Migration completed":
		o.outcome.Completed = true
	case message == "Cutover completed":
		o.outcome.CutOver = true
	}
}

// maxCopies bounds the copies that are kept of a log that repeats itself.
const maxCopies = 10_000

func (o *Output) startCopy(c Copy) {
	if len(o.outcome.Copies) < maxCopies {
		o.outcome.Copies = append(o.outcome.Copies, c)
	}
	if o.events.Started != nil {
		o.events.Started(c)
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
