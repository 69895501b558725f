//go:build unix

package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
)

// guardScript ends the child if this process is killed. It notices that when its input ends without a second line. Then it reads the
// child's output, so that the child does not die of a broken pipe, signals the child's group, waits for the grace, kills what is left
// and removes the temporary directory.
//
// $1 is the signal (0 for none), $2 the grace in seconds, $3 the directory, descriptor 3 the output. If the leader of the group has
// ended (a script), the others are always signalled. If this process was killed before it wrote the group's ID, the guard finds the child by its TMPDIR
// (Linux only).
//
// A zombie does not count as running: process 1 may reap nobody, as in a container. The guard inherits the run's locks from descriptor 4 on, so that
// they are held until the child has ended.
const guardScript = `running() {
	[ -r /proc/self/stat ] || { kill -s 0 -- "-$group" 2>/dev/null; return; }
	for stat in /proc/[0-9]*/stat; do
		read -r line 2>/dev/null <"$stat" || continue
		set -- ${line##*) }
		[ "$3" = "$group" ] && [ "$1" != Z ] && return 0
	done
	return 1
}
if read -r group; then
	read -r _ && exec rm -rf -- "$3"
else
	for process in /proc/[0-9]*; do
		if grep -qszxF "TMPDIR=$3" "$process/environ"; then
			group=$(sed 's/.*) [A-Za-z] [0-9]* \([0-9]*\) .*/\1/' "$process/stat")
		fi
	done
fi
[ -n "$group" ] || { rm -rf -- "$3"; exit; }
cat <&3 >/dev/null &
reader=$!
kill -s "$1" -- "-$group" 2>/dev/null
left=$2 told=
while [ "$left" -gt 0 ] && running; do
	sleep 1
	left=$((left - 1))
	if [ -z "$told" ] && { ! kill -s 0 "$group" || grep -q "^State:.Z" "/proc/$group/status"; } 2>/dev/null; then
		told=yes
		kill -s TERM -- "-$group" 2>/dev/null
	fi
done
kill -s KILL -- "-$group" 2>/dev/null
kill "$reader" 2>/dev/null
rm -rf -- "$3"`

// guard is a process that runs guardScript.
type guard struct {
	cmd   *exec.Cmd
	input io.WriteCloser
}

func startGuard(ctx context.Context, grace time.Duration, temporary string, output *os.File, locks []*os.File) (*guard, error) {
	seconds := strconv.Itoa(int(grace.Seconds()) + 1)
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", guardScript, "sh", orphanSignal, seconds, temporary) //nolint:gosec // the arguments are ours
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.ExtraFiles = append([]*os.File{output}, locks...) // from descriptor 3 on
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the guard of migratekit: %w", err)
	}
	return &guard{cmd, input}, nil
}

// watch tells the guard the process group of the child.
func (g *guard) watch(group int) { _, _ = fmt.Fprintln(g.input, group) }

// dismiss ends the guard after the child has ended, or if it was never started. The guard removes the temporary directory even then,
// because this process may be killed before it does.
func (g *guard) dismiss() {
	_, _ = fmt.Fprintln(g.input)
	_ = g.input.Close()
	_ = g.cmd.Wait()
}
