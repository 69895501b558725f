// Package vsphere is the only package that uses govmomi: one session with one vCenter, the inventory, VM
// properties, tasks, snapshots, changed areas and typed vSphere faults.
//
// It contains no CBT rules: package cbt decides what to do to a VM, and in which order.
package vsphere
