// Package cbt owns changed block tracking (CBT): the rules, which are pure functions, and the Manager, which applies
// them. The Manager reads, enables, disables and resets CBT of a VM. NextCycle predicts the next copy.
//
// The package uses vSphere only through package vsphere and must not know Terraform or migratekit.
package cbt
