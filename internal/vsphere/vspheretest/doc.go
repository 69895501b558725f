// Package vspheretest is the embedded vCenter: govmomi's simulator with the
// change tracking, the snapshot rules and the refusals that a real vCenter has
// and the simulator lacks.
//
// It owns what a vCenter would own (sessions, tracking files, task queues) and
// must not know the provider. Tests, the demo and the benchmarks start it in
// their own process; everything else speaks to it over TLS as to a real one.
//
// It is as strict as the real thing wherever strictness decides whether a copy
// is right: the tracking flag of a running VM reads false until a stun, a
// change ID exists only after one, a stale epoch is a fault, writes to a busy
// VM are refused, and nothing but the login is answered without a session.
package vspheretest
