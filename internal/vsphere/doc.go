// Package vsphere is the only package that knows govmomi: one session with one
// vCenter, the inventory, a VM's properties, tasks, snapshots, changed areas,
// and vSphere's faults told apart by type.
//
// It knows the API and no rule of change tracking: what may be done to a VM,
// and in which order, is decided in package cbt.
package vsphere
