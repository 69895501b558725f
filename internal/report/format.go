package report

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// binary writes bytes with a binary unit, as vCenter does.
func binary(bytes int64) string {
	value, unit := float64(bytes)/(1<<30), "GiB"
	switch {
	case bytes >= 1<<40:
		value, unit = float64(bytes)/(1<<40), "TiB"
	case bytes < 1<<30:
		value, unit = float64(bytes)/(1<<20), "MiB"
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + unit
}

// used is a phrase such as "3 GiB used".
func (s Sizes) used() string {
	switch {
	case s.Unknown == 0:
		return binary(s.Used) + " used"
	case s.Used == 0:
		return "used bytes unknown"
	}
	return "at least " + binary(s.Used) + " used"
}

// usedBytes is what a column of used bytes shows.
func usedBytes(s Sizes) string {
	switch {
	case s.Unknown == 0:
		return binary(s.Used)
	case s.Used == 0:
		return "?"
	}
	return "≥ " + binary(s.Used)
}

// counted writes a number of things, "1 virtual machine" or "12 virtual machines".
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// sentence starts with a capital letter and ends with a full stop.
func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + text[size:] + "."
}

// visible replaces what could hide or reorder text: control characters, line separators, and formats such as those for right to left.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return ' '
		}
		return r
	}, text)
}

// share returns n of total in percent, 0 of nothing.
func share(n, total int64) float64 {
	if total == 0 {
		return 0
	}
	return float64(n) * 100 / float64(total)
}

func powerState(state string) string {
	switch state {
	case "poweredOn":
		return "on"
	case "poweredOff":
		return "off"
	}
	return state
}

// readiness says what a rank means.
func readiness(rank int) string {
	return []string{"not ready", "ready, with warnings", "ready"}[rank]
}
