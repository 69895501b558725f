//go:build chromium

package report_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a headless Chromium that has opened a page.
type browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the browser in it

	mu       sync.Mutex
	problems []string
	requests int
}

// open shows a page of n VMs.
func open(t *testing.T, n int) *browser {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, []byte(page(t, n)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	// A test may run as root, where Chromium has no sandbox.
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(1200, 900), chromedp.WSURLReadTimeout(2*time.Minute))...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	b.must(chromedp.Listen(ctx, b.hear))
	call(b, log.Enable, cdp.Empty{})
	call(b, runtime.Enable, cdp.Empty{})
	call(b, network.Enable, network.EnableParams{})
	call(b, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	b.must(chromedp.Do(ctx, chromedp.Navigate("file://"+file)))
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		b.problems = append(b.problems, e.Entry.Text)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		b.requests++
	}
}

func (b *browser) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func call[P, R any](b *browser, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	result, err := chromedp.Call(b.ctx, command, params)
	b.must(err)
	return result
}

// evaluate evaluates an expression in the page.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	b.must(err)
	return value
}

func (b *browser) number(expression string) int { return evaluate[int](b, expression) }

func (b *browser) text(expression string) string { return evaluate[string](b, expression) }

func TestPageOpensWithoutAnError(t *testing.T) {
	t.Parallel()
	b := open(t, 300)
	if rows := b.number(`document.querySelectorAll("tbody tr").length`); rows != 300 {
		t.Errorf("%d rows", rows)
	}
	// The style is allowed by its hash alone, so it counts only if the policy lets it.
	if back := b.text(`getComputedStyle(document.body).backgroundColor`); back != "rgb(255, 255, 255)" {
		t.Errorf("the background is %s", back)
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
	if back := b.text(`getComputedStyle(document.body).backgroundColor`); back != "rgb(20, 24, 31)" {
		t.Errorf("the background is %s in the dark", back)
	}
	const head = `document.querySelector("th").getBoundingClientRect().top`
	b.number(`window.scrollTo(0, document.body.scrollHeight / 2), 0`)
	if top := b.number(head); top != 0 {
		t.Errorf("the head of the table is at %d while it scrolls", top)
	}
	const folded = `getComputedStyle(document.querySelector("details"), "::details-content").contentVisibility`
	if got := b.text(folded); got != "hidden" {
		t.Errorf("on the screen, folded content is %s", got)
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"})
	if got := b.text(folded); got != "visible" {
		t.Errorf("on paper, folded content is %s", got)
	}
	if wide := b.number(`document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
		t.Errorf("the page is %d pixels wider than the window", wide)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.problems) > 0 || b.requests != 1 {
		t.Errorf("%d requests: %q", b.requests, b.problems)
	}
}

func TestNamesCannotInjectMarkup(t *testing.T) {
	t.Parallel()
	b := open(t, 3)
	if n := b.number(`document.querySelectorAll("script, img, a").length`); n != 0 {
		t.Errorf("%d elements", n)
	}
	if got := b.text(`[...document.querySelectorAll("tbody tr td:first-child")].map(e => e.textContent).join("\n")`); !strings.Contains(got, hostile) {
		t.Errorf("the names are %s", got)
	}
	if title := b.text(`document.title`); title != "Migration readiness of /DC0/vm/prod" {
		t.Errorf("the title is %s", title)
	}
}

// The time is what the browser's main thread computed, so it does not depend on what else the machine does.
func TestManyVMsAreRenderedFast(t *testing.T) {
	t.Parallel()
	b := open(t, 2000)
	if height := b.number(`document.body.offsetHeight`); height < 2000 { // everything is laid out
		t.Errorf("%d pixels", height)
	}
	_, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.must(err)
	metrics := call(b, performance.GetMetrics, cdp.Empty{}).Metrics
	for _, metric := range metrics {
		if metric.Name == "TaskDuration" {
			t.Logf("%.2f s", metric.Value)
			if metric.Value <= 0 || metric.Value >= 2 {
				t.Errorf("rendering took %.2f s", metric.Value)
			}
			return
		}
	}
	t.Error("no TaskDuration: ", metrics)
}
