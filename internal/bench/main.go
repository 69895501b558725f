// Command bench measures the provider's vCenter calls, time and memory with the embedded vCenter. It compares
// them with Terraform alone, a provider that does nothing, and the straightforward way, all in one run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
)

type options struct {
	counts  []int
	ensure  int
	runs    int
	latency time.Duration
	fleet   int
	vcenter int
}

func main() {
	if migratekittest.Called() {
		os.Exit(migratekittest.Main())
	}
	var o options
	counts := flag.String("counts", "1,50,500,2000", "how many VMs to plan, separated by commas")
	flag.IntVar(&o.ensure, "ensure", 200, "how many VMs to enable CBT on")
	flag.IntVar(&o.fleet, "fleet", 200, "how many VMs to replicate")
	flag.IntVar(&o.runs, "runs", 3, "how many times each plan runs; the median is reported")
	flag.DurationVar(&o.latency, "latency", 0, "latency to add to each call")
	flag.IntVar(&o.vcenter, "vcenter", 0, "run as the vCenter process, with this many VMs (internal)")
	flag.Parse()
	log.SetOutput(io.Discard) // silence the simulator
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, *counts); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, counts string) (err error) {
	if o.vcenter > 0 {
		return serveEstate(o.vcenter)
	}
	highest := 2 * o.ensure
	for text := range strings.SplitSeq(counts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return err
		}
		o.counts = append(o.counts, n)
		highest = max(highest, n)
	}
	dir, err := os.MkdirTemp("", "vma-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e, err := startEstate(ctx, highest)
	if err != nil {
		return err
	}
	defer e.close()
	c, err := newCLI(ctx, dir, e)
	if err != nil {
		return err
	}
	return newBench(o, c).run(ctx)
}
