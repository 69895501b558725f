// Package replication runs one cycle: one run of migratekit over one VM, behind
// the gate that change tracking is. It owns the order of the steps and what
// they hand on to each other.
//
// It knows the rules of tracking through package cbt, the program through
// package migratekit, and nothing of Terraform.
package replication
