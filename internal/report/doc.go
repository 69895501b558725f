// Package report writes an assessment as Markdown and as one HTML page. The same assessment always gives the same text: nothing in it depends on the
// time.
package report
