// Command bench measures what the provider costs: calls to vCenter, time and
// memory, next to Terraform alone, to a provider that does nothing and to the
// straightforward way, all in one run. The embedded vCenter stands in.
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
)

type options struct {
	counts  []int
	ensure  int
	runs    int
	latency time.Duration
	vcenter int
}

func main() {
	var o options
	counts := flag.String("counts", "1,50,500,2000", "how many VMs to plan, separated by commas")
	flag.IntVar(&o.ensure, "ensure", 200, "how many VMs to ensure tracking on")
	flag.IntVar(&o.runs, "runs", 3, "how often each plan runs; the median counts")
	flag.DurationVar(&o.latency, "latency", 0, "what to add to each call")
	flag.IntVar(&o.vcenter, "vcenter", 0, "be the vCenter, with so many VMs")
	flag.Parse()
	log.SetOutput(io.Discard) // the simulator's own chatter
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
