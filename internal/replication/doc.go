// Package replication runs one cycle: it checks source and target, enables CBT, runs migratekit once over one VM, and finds
// out what it copied.
//
// It knows the rules of CBT through package cbt and the program through package migratekit. It does not know Terraform.
package replication
