package cbt

import "slices"

// Severity says what a finding means for a migration.
type Severity string

// The severities, worst first. An error prevents CBT or the copy of a disk.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// Finding is something about one VM that its migration should know.
type Finding struct {
	Severity Severity
	// Code is stable, such as "hardware_version".
	Code string
	// Title names the kind of finding for a reader, such as "Virtual hardware too old".
	Title string
	// Problem says what is wrong, and Cure what to do. Both begin in lower case and have no full stop.
	Problem, Cure string
}

// Text returns the problem, and for an error the cure too. Blockers have the same text.
func (f Finding) Text() string {
	if f.Severity != Error {
		return f.Problem
	}
	return f.Problem + ": " + f.Cure
}

func texts(findings []Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, f.Text())
	}
	return all
}
