package process

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

func TestStallMonitor(t *testing.T) {
	t.Parallel()
	const limit = time.Hour
	monitor := func(t *testing.T, cutover bool, sink migratekit.Sink) (m *stallMonitor, stopped func() bool) {
		t.Helper()
		stops := 0
		m = newStallMonitor(t.Context(), migratekit.Job{StallTimeout: limit, Cutover: cutover}, sink, func() { stops++ })
		return m, func() bool { return m.close() && stops == 1 }
	}
	for name, test := range map[string]struct {
		cutover bool
		sink    migratekit.Sink
		run     func(m *stallMonitor)
		want    bool
	}{
		"no copy": {run: func(*stallMonitor) { time.Sleep(2 * limit) }},
		"a copy that hangs": {want: true, run: func(m *stallMonitor) {
			m.started("a")
			m.progress(10)
			time.Sleep(2 * limit)
		}},
		"a copy that repeats itself": {want: true, run: func(m *stallMonitor) {
			m.started("a")
			for range 100 {
				m.progress(10)
				time.Sleep(limit / 20)
			}
		}},
		"a slow copy": {run: func(m *stallMonitor) {
			m.started("a")
			for i := range 100 {
				m.progress(int64(i))
				time.Sleep(limit - time.Second)
			}
		}},
		"a copy that has ended": {run: func(m *stallMonitor) {
			m.started("a")
			m.progress(100)
			m.ended()
			time.Sleep(2 * limit)
		}},
		"the end of a copy that something else delays": {
			sink: migratekit.Sink{ConfirmStall: func(context.Context) bool { return false }},
			run: func(m *stallMonitor) {
				m.started("a")
				time.Sleep(5 * limit)
			},
		},
		"the first copy of a cutover": {cutover: true, want: true, run: func(m *stallMonitor) {
			m.started("a")
			time.Sleep(2 * limit)
		}},
		"a cutover whose source is off": {cutover: true, run: func(m *stallMonitor) {
			m.started("a")
			m.started("b")
			m.started("a") // again
			time.Sleep(2 * limit)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, stopped := monitor(t, test.cutover, test.sink)
				test.run(m)
				synctest.Wait()
				if got := stopped(); got != test.want {
					t.Errorf("stopped %t, want %t", got, test.want)
				}
			})
		})
	}
}
