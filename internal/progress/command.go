package progress

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Command is the name of the subcommand that shows progress.
const Command = "progress"

// flagsFirst lets flags follow the directory.
func flagsFirst(args []string) []string {
	isFlag := func(arg string) bool { return strings.HasPrefix(arg, "-") }
	sorted := slices.Clone(args)
	return append(slices.DeleteFunc(sorted, func(arg string) bool { return !isFlag(arg) }), slices.DeleteFunc(slices.Clone(args), isFlag)...)
}

const usage = `Usage: terraform-provider-vma progress [-once] [-json] [DIRECTORY]

Shows the cycles of a log directory: a live table on a terminal, and one line for
each cycle elsewhere. Without DIRECTORY it is VMA_LOG_DIRECTORY, or vma inside
TF_DATA_DIR (.terraform).

`

// Main runs the subcommand, and returns its exit status.
func Main(args []string) int {
	flags := flag.NewFlagSet(Command, flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	flags.Usage = func() {
		_, _ = io.WriteString(os.Stderr, usage)
		flags.PrintDefaults()
	}
	options := Options{}
	flags.BoolVar(&options.Once, "once", false, "show the cycles once, and exit")
	flags.BoolVar(&options.JSON, "json", false, "write the cycles as JSON, and exit")
	switch err := flags.Parse(flagsFirst(args)); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 1:
		flags.Usage()
		return 2
	}
	options.Exists = flags.NArg() == 1
	options.Directory = cmp.Or(flags.Arg(0), os.Getenv("VMA_LOG_DIRECTORY"), filepath.Join(cmp.Or(os.Getenv("TF_DATA_DIR"), ".terraform"), "vma"))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := Show(ctx, options, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
