package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

type bench struct {
	options
	cli    *cli
	estate *estate
	floors map[int]floor
}

// floor is the plan time of terraform_data, of a provider that does nothing, and of one that also has the
// attributes of vma_cbt and this provider's GC and log settings.
type floor struct{ data, nothing, alike time.Duration }

// settings are this provider's GC and log settings, for the provider that does nothing.
var settings = []string{"GOGC=400", "GOMEMLIMIT=96MiB", "TF_LOG_SDK=OFF", "TF_LOG_SDK_FRAMEWORK=OFF", "TF_LOG_SDK_PROTO=OFF"}

func newBench(o options, c *cli) *bench {
	return &bench{options: o, cli: c, estate: c.estate, floors: map[int]floor{}}
}

const added = 20 * time.Millisecond

func (b *bench) run(ctx context.Context) error {
	if err := b.slow(ctx, b.latency); err != nil {
		return err
	}
	moids, err := b.moids()
	if err != nil {
		return err
	}
	fmt.Printf("Times are the median of %d runs; calls and memory are the maximum. Latency added to each call: %s.\n"+
		"CPU seconds are those of Terraform and its providers. Alike: a provider that does nothing, with the attributes of vma_cbt and this provider's settings.\n\n", b.runs, b.latency)
	fmt.Printf("%-34s %5s %6s %7s %8s %8s %9s %9s %9s %8s  %s\n",
		"what", "VMs", "calls", "per VM", "seconds", "CPU", "× t._data", "× nothing", "× alike", "peak MB", "calls by method")
	if err := b.ensured(ctx); err != nil {
		return err
	}
	if err := b.estate.ask(ctx, "track", new(int)); err != nil {
		return err
	}
	for _, n := range b.counts {
		if err := b.planned(ctx, n, moids); err != nil {
			return err
		}
	}
	if err := b.slower(ctx); err != nil {
		return err
	}
	return b.migrated(ctx)
}

func (b *bench) slow(ctx context.Context, latency time.Duration) error {
	return b.estate.ask(ctx, "latency?of="+latency.String(), new(int64))
}

// moids writes the managed object IDs to a file and returns its path.
func (b *bench) moids() (string, error) {
	file := filepath.Join(b.cli.dir, "moids")
	return file, os.WriteFile(file, []byte(strings.Join(b.estate.Moids, ",")), 0o600)
}

// ensured measures enabling CBT, then the same on other VMs in the straightforward way.
func (b *bench) ensured(ctx context.Context) error {
	if b.ensure == 0 {
		return nil
	}
	dir, err := b.cli.work("ensure", tracked(b.ensure))
	if err != nil {
		return err
	}
	m, err := b.cli.run(ctx, 1, dir, "apply", "-auto-approve")
	if err != nil {
		return err
	}
	b.row("ensure vma_cbt, off before", b.ensure, m)
	return b.straight(ctx, "ensure, straightforward", b.ensure, b.ensure, true)
}

func (b *bench) straight(ctx context.Context, what string, first, n int, ensure bool) error {
	var before, after counts
	if err := b.estate.ask(ctx, "counts", &before); err != nil {
		return err
	}
	begun := time.Now()
	if err := straightforward(ctx, b.estate, first, n, ensure); err != nil {
		return err
	}
	wall := time.Since(begun)
	if err := b.estate.ask(ctx, "counts", &after); err != nil {
		return err
	}
	b.row(what, n, measured{wall: wall, calls: after.Calls, sessions: after.Sessions})
	return nil
}

func tracked(n int) string {
	return fmt.Sprintf("resource \"vma_cbt\" \"x\" {\n  count   = %d\n  vm_path = format(\"/DC0/vm/estate/vm%%04d\", count.index)\n}\n", n)
}

// planned measures the plans for n VMs, and their floors again for each n.
func (b *bench) planned(ctx context.Context, n int, moids string) error {
	scenes := []struct {
		name, configuration string
		applied             bool
		env                 []string
	}{
		{"terraform_data", fmt.Sprintf("resource \"terraform_data\" \"x\" {\n  count = %d\n  input = count.index\n}\n", n), true, nil},
		{"a provider that does nothing", fmt.Sprintf("resource \"nothing_thing\" \"x\" {\n  count = %d\n  name  = count.index\n}\n", n), true, nil},
		{"nothing, with vma_cbt's attributes", strings.ReplaceAll(tracked(n), "vma_cbt", "nothing_cbt"), true, nil},
		{"the same with vma's settings", strings.ReplaceAll(tracked(n), "vma_cbt", "nothing_cbt"), true, settings},
		{"refresh vma_cbt", tracked(n), true, nil},
		{"vma_cbt_status by path", fmt.Sprintf("data \"vma_cbt_status\" \"x\" {\n  count   = %d\n  vm_path = format(\"/DC0/vm/estate/vm%%04d\", count.index)\n}\n", n), false, nil},
		{"vma_cbt_status by moid", fmt.Sprintf("locals {\n  moids = split(\",\", file(%q))\n}\ndata \"vma_cbt_status\" \"x\" {\n  count   = %d\n  vm_moid = local.moids[count.index]\n}\n", moids, n), false, nil},
	}
	defer func() { b.cli.extra = nil }()
	for i, scene := range scenes { // the first scenes are the floors
		b.cli.extra = scene.env
		dir, err := b.cli.work(fmt.Sprintf("plan%d-%d", i, n), scene.configuration)
		if err != nil {
			return err
		}
		if scene.applied {
			if _, err := b.cli.run(ctx, 1, dir, "apply", "-auto-approve"); err != nil {
				return err
			}
		}
		m, err := b.cli.run(ctx, b.runs, dir, "plan")
		if err != nil {
			return err
		}
		f := b.floors[n]
		switch i {
		case 0:
			f.data = m.wall
		case 1:
			f.nothing = m.wall
		case 3:
			f.alike = m.wall
		}
		b.floors[n] = f
		b.row(scene.name, n, m)
	}
	if n == slices.Max(b.counts) {
		for _, name := range []string{"vma_cbt_statuses", "vma_assessment"} {
			dir, err := b.cli.work(name, fmt.Sprintf("data %q \"x\" {}\noutput \"n\" {\n  value = length(data.%s.x.vms)\n}\n", name, name))
			if err != nil {
				return err
			}
			m, err := b.cli.run(ctx, b.runs, dir, "plan")
			if err != nil {
				return err
			}
			b.row(name, len(b.estate.Moids), m)
		}
	}
	return b.straight(ctx, "read, straightforward", 0, n, false)
}

// slower repeats the refresh with more latency. The plan may grow only by the added latency of its calls.
func (b *bench) slower(ctx context.Context) error {
	for _, n := range b.counts {
		dir := filepath.Join(b.cli.dir, fmt.Sprintf("plan4-%d", n))
		fast, err := b.cli.run(ctx, b.runs, dir, "plan")
		if err != nil {
			return err
		}
		if err := b.slow(ctx, b.latency+added); err != nil {
			return err
		}
		m, err := b.cli.run(ctx, b.runs, dir, "plan")
		if err != nil {
			return err
		}
		b.row("refresh, "+added.String()+" more per call", n, m)
		fmt.Printf("    the plan took %.2f s longer; its calls account for %.2f s\n", (m.wall - fast.wall).Seconds(), (time.Duration(m.total()) * added).Seconds())
		if err := b.slow(ctx, b.latency); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) row(what string, n int, m measured) {
	ratio := func(to time.Duration) string {
		if to == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", m.wall.Seconds()/to.Seconds())
	}
	memory := "–"
	if m.memory > 0 {
		memory = fmt.Sprint(m.memory >> 20)
	}
	var methods []string
	for _, method := range slices.SortedFunc(maps.Keys(m.calls), func(a, c string) int { return m.calls[c] - m.calls[a] }) {
		methods = append(methods, fmt.Sprintf("%s %d", method, m.calls[method]))
	}
	if m.sessions > 0 {
		methods = append(methods, fmt.Sprintf("SESSIONS LEFT: %d", m.sessions))
	}
	fmt.Printf("%-34s %5d %6d %7.2f %8.2f %8.2f %9s %9s %9s %8s  %s\n", what, n, m.total(), float64(m.total())/float64(n),
		m.wall.Seconds(), m.cpu.Seconds(), ratio(b.floors[n].data), ratio(b.floors[n].nothing), ratio(b.floors[n].alike), memory, strings.Join(methods, ", "))
}
