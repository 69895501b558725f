// Package progress keeps the progress of a cycle in a file beside its log, and shows the files of a log directory as a table.
//
// It knows neither Terraform nor vSphere nor migratekit: whoever runs a cycle tells it what happens.
package progress
