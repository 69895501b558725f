package progress

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

const mib = 1 << 20

func start(t *testing.T, disks map[int32]Plan, report func(File)) (*Tracker, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "web01.log")
	if report == nil {
		report = func(File) {}
	}
	return Start(File{Kind: KindCycle, VMPath: "/DC0/vm/web01", PID: os.Getpid(), LogFile: log, ProviderVersion: "1.2.3"}, disks, report), Path(log)
}

func load(t *testing.T, path string) File {
	t.Helper()
	content, err := os.ReadFile(path)
	var file File
	if err == nil {
		err = json.Unmarshal(content, &file)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// A copy at 50 MB/s for two minutes, as both dialects report it: percent never falls and ends at 100, the remaining time is right within 20 % after half of it, and the
// file is valid whenever it is read.
func TestSteadyCopy(t *testing.T) {
	t.Parallel()
	const rate, seconds = 50_000_000, 120
	half := int64(rate * seconds / 2)
	var below [101]int64
	for p := range below {
		below[p] = half / 100 * int64(p)
	}
	for name, test := range map[string]struct {
		full    bool
		advance func(done int64) Advance
	}{
		"bars of a full copy":   {true, func(done int64) Advance { return Advance{Percent: float64(done * 100 / half), Bytes: -1, Total: -1} }},
		"bars of an increment":  {false, func(done int64) Advance { return Advance{Percent: float64(done * 100 / half), Bytes: -1, Total: -1} }},
		"posts of a full copy":  {true, func(done int64) Advance { return Advance{Percent: -1, Bytes: done, Total: 7 * half} }}, // the total is of all files
		"posts of an increment": {false, func(done int64) Advance { return Advance{Percent: -1, Bytes: done, Total: half} }},
		"posts, nothing for a while": {true, func(done int64) Advance {
			return Advance{Percent: -1, Bytes: done / (5 * rate) * (5 * rate), Total: half}
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			var told []float64
			tracker, path := start(t, map[int32]Plan{2000: {Full: test.full, Capacity: half}, 2001: {Full: test.full, Capacity: half}}, func(f File) { told = append(told, f.Percent) })
			last := 0.0
			for second := range seconds {
				key, done := int32(2000+second/(seconds/2)), int64(second%(seconds/2))*rate
				if done == 0 {
					tracker.Started(key, test.full)
					if !test.full {
						tracker.Measured(2000, Changed{Bytes: half, Below: below})
						tracker.Measured(2001, Changed{Bytes: half, Below: below})
					}
				}
				tracker.Advanced(key, test.advance(done))
				time.Sleep(time.Second)
				synctest.Wait()
				now := load(t, path)
				if now.Percent < last || now.Percent > 100 || now.Status != StatusRunning {
					t.Fatalf("%s: %.1f %% after %.1f %%, %s", name, now.Percent, last, now.Status)
				}
				last = now.Percent
				if left := seconds - second - 1; second >= seconds/2 && left > 10 && (now.SecondsLeft == nil || *now.SecondsLeft < int64(left)*8/10-6 || *now.SecondsLeft > int64(left)*12/10+6) {
					t.Fatalf("%s: after %d s %v s are left, want %d", name, second+1, now.SecondsLeft, left)
				}
			}
			if err := tracker.End("replicated", "", map[int32]string{2000: "A/2"}); err != nil {
				t.Error(err)
			}
			f := load(t, path)
			if f.Percent != 100 || f.EndedAt == nil || *f.Bytes != 2*half || *f.BytesPerSecond != rate || f.Disks["2000"].Percent != 100 || f.Disks["2000"].ChangeIDAfter != "A/2" || f.Error != nil {
				t.Errorf("%s: %+v", name, f)
			}
			if len(told) < 8 || len(told) > 10 {
				t.Errorf("%s: %d lines: %v", name, len(told), told)
			}
		})
	}
}

// An increment whose changes are not known has a percent, and no bytes. A disk that ends is complete.
func TestUnmeasuredIncrement(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tracker, path := start(t, map[int32]Plan{2000: {Capacity: 100 * mib, ChangeID: "A/1", Target: "web01-2000"}, 2001: {Full: true, Capacity: 100 * mib}}, nil)
		tracker.Started(2000, false)
		tracker.Advanced(-1, Advance{Percent: 40, Bytes: -1, Total: -1})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		now := load(t, path)
		if now.Percent != 20 || now.Bytes != nil || now.TotalBytes != nil || now.Disks["2000"].Bytes != nil || now.Disks["2000"].Kind != "incremental" || now.Disks["2000"].Target != "web01-2000" {
			t.Errorf("%+v", now)
		}
		tracker.Started(2001, true) // the disk before is complete: its end is not logged
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if now = load(t, path); now.Disks["2000"].Percent != 100 || now.Percent != 50 {
			t.Errorf("%+v", now)
		}
		if err := tracker.End("failed", "it broke", map[int32]string{2000: "A/2"}); err != nil {
			t.Error(err)
		}
		end := load(t, path)
		if end.Percent != 50 || end.Status != "failed" || *end.Error != "it broke" || end.EndedAt == nil || end.SecondsLeft != nil {
			t.Errorf("%+v", end)
		}
	})
}

// The file is written while nothing moves, so that a reader knows that the cycle is alive. There is a report after ten minutes without one.
func TestIdleCycle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reports := 0
		tracker, path := start(t, map[int32]Plan{2000: {Full: true, Capacity: mib}}, func(File) { reports++ })
		time.Sleep(21 * time.Minute)
		synctest.Wait()
		if age := time.Since(load(t, path).UpdatedAt); age > 6*time.Second || reports != 2 {
			t.Errorf("written %s ago, %d reports", age, reports)
		}
		if err := tracker.End("interrupted", "stopped", nil); err != nil {
			t.Error(err)
		}
	})
}

// All that is known is copied, but a cutover still shuts the guest down and copies once more. Late measurements are smaller than what was reported.
func TestCopiedButRunning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tracker, path := start(t, map[int32]Plan{2000: {Capacity: 200 * mib}}, nil)
		tracker.Started(2000, false)
		for _, copied := range []int64{10, 60, 110} {
			tracker.Advanced(2000, Advance{Percent: -1, Bytes: copied * mib, Total: 120 * mib})
			time.Sleep(2 * time.Second)
		}
		tracker.Measured(2000, Changed{Bytes: 100 * mib})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if now := load(t, path); now.Percent != 99.9 || *now.Bytes != 100*mib || *now.TotalBytes != 100*mib || now.SecondsLeft != nil {
			t.Errorf("%+v", now)
		}
		if err := tracker.End("failed", "the guest did not shut down", nil); err != nil {
			t.Error(err)
		}
		if end := load(t, path); end.Percent != 99.9 {
			t.Errorf("%+v", end)
		}
	})
}

// A file that cannot be replaced, as on a full disk, is completed in place.
func TestEndWithoutRoom(t *testing.T) {
	t.Parallel()
	tracker, path := start(t, map[int32]Plan{2000: {Full: true, Capacity: mib}}, nil)
	if err := os.Mkdir(path+".new", 0o700); err != nil { // the next file cannot be written
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".new", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tracker.End("replicated", "", nil); err != nil {
		t.Error(err)
	}
	if end := load(t, path); end.Status != "replicated" || end.Percent != 100 {
		t.Errorf("%+v", end)
	}
}
