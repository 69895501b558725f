// Package cbt owns changed block tracking: the rules of it, which are pure, and
// the Manager that applies them to a VM: what is, making it true, resetting it,
// and what the next copy will be.
//
// It knows vSphere through package vsphere only, and knows neither Terraform
// nor migratekit.
package cbt
