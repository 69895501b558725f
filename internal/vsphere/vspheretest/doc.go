// Package vspheretest is the embedded vCenter: govmomi's simulator plus the CBT, snapshot rules and faults that a real
// vCenter has and the simulator lacks.
//
// It owns what a vCenter owns (sessions, tracking files, task queues) and must not know the provider. Tests, the demo
// and the benchmarks start it in their own process; clients connect to it over TLS.
//
// It is as strict as a real vCenter if correct copies depend on it: the CBT flag of a running VM reads false until a
// stun, a change ID exists only after one, a stale epoch is a fault, writes to a busy VM are refused, and only the
// login works without a session.
package vspheretest
