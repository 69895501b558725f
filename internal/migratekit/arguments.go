package migratekit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Common holds the settings that both builds of migratekit have: the build for OpenStack and the build for NBD targets.
type Common struct {
	Program string
	Source  Source
	// CompressionMethod is none, zlib, fastlz or skipz; "" leaves it to migratekit.
	CompressionMethod string
	// ExtraArgs are added at the end.
	ExtraArgs []string
	// Environment is added to migratekit's environment. Unset are the prefixes of variables that it does not inherit.
	Environment map[string]string
	Unset       []string
	// TrustedCAs are certificates in PEM to trust beside the system's.
	TrustedCAs []byte
	// StopGrace is how long migratekit may take to end after an interrupt.
	StopGrace time.Duration
	// StallTimeout is how long a copy may be without progress, 0 for no limit.
	StallTimeout time.Duration
}

// Source is the VM to copy and the vCenter to read it from.
type Source struct {
	// Endpoint is vCenter's host, or host:port.
	Endpoint string
	Username string
	Password string
	// Path is the VM's inventory path, as vCenter escapes it.
	Path string
}

// OpenStack is the target of the build that writes to Cinder volumes. Empty and nil fields are left to migratekit.
type OpenStack struct {
	AvailabilityZone     string
	VolumeType           string
	DiskBusType          string
	OSType               string
	EnableQemuGuestAgent *bool
	// Cutover shuts the source down, runs the last cycle and boots the server. The fields below are for it alone.
	Cutover          bool
	FlavorID         string
	NetworkMappings  []NetworkMapping
	SecurityGroupIDs []string
	RunV2V           *bool
}

// NetworkMapping connects one network card of the source to a subnet.
type NetworkMapping struct {
	MAC, NetworkID, SubnetID string
	// IP is "" for any address of the subnet.
	IP string
}

func (m NetworkMapping) String() string {
	s := fmt.Sprintf("mac=%s,network-id=%s,subnet-id=%s", m.MAC, m.NetworkID, m.SubnetID)
	if m.IP != "" {
		s += ",ip=" + m.IP
	}
	return s
}

// NBD is the target of the build that writes to NBD exports.
type NBD struct {
	// Exports are by device key.
	Exports map[int32]Export
	// SingleDisk is true if the VM has one disk only.
	SingleDisk bool
	// JobID names the run.
	JobID string
	// Port is the local port that serves the exports.
	Port string
	// KnownChangeIDs has an entry for each exported disk, by device key: the change ID to copy from, or "".
	KnownChangeIDs map[int32]string
}

// Export is one NBD export.
type Export struct{ URI, Name string }

// The arguments that a Job sets itself.
const (
	flagEndpoint         = "--vmware-endpoint"
	flagUsername         = "--vmware-username"
	flagPassword         = "--vmware-password" //nolint:gosec // the name of a flag
	flagPath             = "--vmware-path"
	flagCompression      = "--compression-method"
	flagAvailabilityZone = "--availability-zone"
	flagVolumeType       = "--volume-type"
	flagDiskBusType      = "--disk-bus-type"
	flagOSType           = "--os-type"
	flagGuestAgent       = "--enable-qemu-guest-agent"
	flagFlavor           = "--flavor"
	flagNetworkMapping   = "--network-mapping"
	flagSecurityGroups   = "--security-groups"
	flagRunV2V           = "--run-v2v"
	flagExportName       = "--nbd-export-name"
	flagTargets          = "--nbd-targets"
	flagJobID            = "--job-id"
)

// IsReservedFlag reports whether a Job sets this flag itself, so that extra arguments must not.
func IsReservedFlag(flag string) bool {
	switch flag {
	case flagEndpoint, flagUsername, flagPassword, flagPath, flagCompression, flagAvailabilityZone, flagVolumeType,
		flagDiskBusType, flagOSType, flagGuestAgent, flagFlavor, flagNetworkMapping, flagSecurityGroups, flagRunV2V,
		flagExportName, flagTargets, flagJobID:
		return true
	}
	return false
}

// NewOpenStackJob returns a run of migratekit for OpenStack.
func NewOpenStackJob(common Common, target OpenStack) Job {
	command := "migrate"
	if target.Cutover {
		command = "cutover"
	}
	job := newJob(command, common)
	job.Cutover = target.Cutover
	job.addText(flagAvailabilityZone, target.AvailabilityZone)
	job.addText(flagVolumeType, target.VolumeType)
	job.addText(flagDiskBusType, target.DiskBusType)
	job.addText(flagOSType, target.OSType)
	job.addSwitch(flagGuestAgent, target.EnableQemuGuestAgent)
	if target.Cutover {
		job.addText(flagFlavor, target.FlavorID)
		for _, mapping := range target.NetworkMappings {
			job.add(flagNetworkMapping, mapping.String())
		}
		job.addText(flagSecurityGroups, strings.Join(target.SecurityGroupIDs, ","))
		job.addSwitch(flagRunV2V, target.RunV2V)
	}
	job.add(common.ExtraArgs...)
	return job
}

// NewNBDJob returns a run of migratekit for NBD targets. The code that runs it must serve the change-ID store, and add
// StoreEnvironment to its environment.
func NewNBDJob(common Common, target NBD) Job {
	job := newJob("migrate", common)
	job.ID, job.KnownChangeIDs, job.Exports = target.JobID, target.KnownChangeIDs, map[int32]string{}
	targets := make([]string, 0, len(target.Exports))
	for _, key := range slices.Sorted(maps.Keys(target.Exports)) {
		job.Exports[key] = target.Exports[key].URI
		targets = append(targets, fmt.Sprintf("%d:%s", key, target.Exports[key].URI))
		if target.SingleDisk {
			job.add(flagExportName, target.Exports[key].Name)
		}
	}
	if !target.SingleDisk {
		job.add(flagTargets, strings.Join(targets, ","))
	}
	job.add(flagJobID, target.JobID)
	job.add(common.ExtraArgs...)
	maps.Copy(job.Environment, map[string]string{
		variableJob:  target.JobID,
		variablePort: target.Port,
		// migratekit refuses to start without these two; our store ignores them.
		"CLOUDSTACK_API_KEY":    cmp.Or(common.Environment["CLOUDSTACK_API_KEY"], placeholder),
		"CLOUDSTACK_SECRET_KEY": cmp.Or(common.Environment["CLOUDSTACK_SECRET_KEY"], placeholder),
	})
	return job
}

// The variables that a Job sets itself, and the value of those that must not be empty.
const (
	variableJob   = "MIGRATEKIT_JOB_ID"
	variablePort  = "NBD_LOCAL_PORT"
	variableStore = "CLOUDSTACK_API_URL"
	placeholder   = "unused"
)

func ownVariable(name string) bool {
	return name == variableJob || name == variablePort || name == variableStore
}

// StoreEnvironment returns the variables that give migratekit the address of a change-ID store.
func StoreEnvironment(url string) map[string]string {
	return map[string]string{variableStore: url}
}

func newJob(command string, common Common) Job {
	job := Job{
		Program: common.Program, VMPath: common.Source.Path, StopGrace: common.StopGrace, StallTimeout: common.StallTimeout,
		Environment: map[string]string{}, Unset: common.Unset, TrustedCAs: common.TrustedCAs,
	}
	maps.Copy(job.Environment, common.Environment)
	job.add(command, flagEndpoint, common.Source.Endpoint, flagUsername, common.Source.Username, flagPassword)
	job.Args = append(job.Args, Arg{Value: common.Source.Password, Secret: true})
	job.add(flagPath, escapePattern(common.Source.Path))
	job.addText(flagCompression, common.CompressionMethod)
	return job
}

// escapePattern escapes an inventory path for migratekit, which resolves it with govmomi's finder, as a pattern.
func escapePattern(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(path)
}

func (j *Job) add(args ...string) {
	for _, arg := range args {
		j.Args = append(j.Args, Arg{Value: arg})
	}
}

func (j *Job) addText(flag, value string) {
	if value != "" {
		j.add(flag, value)
	}
}

func (j *Job) addSwitch(flag string, value *bool) {
	if value != nil {
		j.add(flag + "=" + strconv.FormatBool(*value))
	}
}
