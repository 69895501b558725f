package replication

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// Cycles fail at any call, in any combination. Whatever happens, an increment never misses what was written since the cycle
// that it continues, and the first undisturbed cycle completes and leaves nothing behind.
func TestChaos(t *testing.T) {
	t.Parallel()
	seeds, err := strconv.Atoi(os.Getenv("CHAOS")) // make chaos sets it
	if err != nil {
		seeds = 1
	}
	for seed := range uint64(2 * seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 2))
			s := newStage(t)
			s.cycle.RemoveLeftovers = true
			c := &chaos{stage: s, written: map[string]int64{}}
			for range 6 {
				c.write(random)
				ctx, cancel := context.WithCancel(t.Context())
				release := c.disturb(random, cancel)
				_ = c.run(t, ctx) // it may fail
				release()
				cancel()
			}
			c.write(random)
			if err := c.run(t, t.Context()); err != nil {
				t.Errorf("an undisturbed cycle: %v", err)
			}
			if left := s.vm.Snapshots(); len(left) > 0 {
				t.Errorf("snapshots are left: %v", left)
			}
		})
	}
}

type chaos struct {
	*stage

	offset int64
	// written is what was written to the disk after each change ID.
	written map[string]int64
}

const block = 64 << 10

// write changes a part of the disk that was not changed before.
func (c *chaos) write(random *rand.Rand) {
	blocks := 1 + random.Int64N(4)
	c.vm.Write(2000, c.offset, blocks*block)
	c.offset += 2 * blocks * block
	for id := range c.written {
		c.written[id] += blocks * block
	}
}

func (c *chaos) disturb(random *rand.Rand, cancel context.CancelFunc) (release func()) {
	var all []*vspheretest.Interceptor
	for range 1 + random.IntN(3) {
		skip, times := random.IntN(60), 1+random.IntN(2)
		var i *vspheretest.Interceptor
		switch random.IntN(8) {
		case 0:
			i = c.vcenter.DropBefore("", skip, times)
		case 1:
			i = c.vcenter.DropAfter("", skip, times)
		case 2:
			i = c.vcenter.ExpireBefore("", skip, times)
		case 3:
			i = c.vcenter.Fail("", skip, times)
		case 4:
			i = c.vcenter.Answer("", skip, times, vspheretest.EmptyAnswer)
		case 5:
			i = c.vcenter.Answer("", skip, times, vspheretest.ForeignAnswer)
		case 6:
			i = c.vcenter.Observe("", skip, 1, cancel)
		default:
			i = c.vcenter.Observe("", skip, 1, c.vm.ResetTracking)
		}
		all = append(all, i)
	}
	return func() {
		for _, i := range all {
			i.Release()
		}
	}
}

// run runs one cycle, checks what it copied, and keeps its change IDs for the next one as the state does.
func (c *chaos) run(t *testing.T, ctx context.Context) error { //nolint:revive // the helper's t comes first
	t.Helper()
	previous := c.cycle.Previous[2000]
	missing, known := c.written[previous]
	result, err := c.runner.Run(ctx, c.cycle)
	if err == nil && result.Disks[2000].Kind == cbt.Incremental {
		switch copied := result.ChangedBytes(); {
		case !known:
			t.Errorf("an increment continues from %q, which no cycle ended with", previous)
		case copied >= 0 && copied < missing:
			t.Errorf("an increment copied %d of %d bytes", copied, missing)
		}
	}
	if result == nil || result.ChangeIDs == nil {
		return err
	}
	c.cycle.Previous = maps.Clone(result.ChangeIDs)
	if id := result.ChangeIDs[2000]; id != previous && id != "" {
		c.written[id] = 0
	}
	return err
}
