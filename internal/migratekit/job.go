// Package migratekit builds and runs the program that copies a VM's disks. It
// is the only package that starts processes.
//
// A Job is a value: program, arguments, environment and secrets. Running it is
// another thing (Run), so that it may run elsewhere one day. The
// package knows neither Terraform nor vSphere.
package migratekit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Job is one run of migratekit.
type Job struct {
	// ID is what change IDs and progress are filed under, "" where they are not.
	ID string
	// Program is the path of the executable.
	Program string
	Args    []string
	// Env is added to the environment of this process, and wins over it.
	Env map[string]string
	// Secrets must not be written anywhere.
	Secrets []string
}

// Source is the VM to copy, and how migratekit reaches it.
type Source struct {
	// Endpoint is vCenter's host, or host:port.
	Endpoint string
	Username string
	Password string
	// Path is the VM's inventory path.
	Path string
}

// Common is what both programs have.
type Common struct {
	Program string
	Source  Source
	// CompressionMethod is none, zlib, fastlz or skipz; "" for the program's own.
	CompressionMethod string
	// ExtraArgs are added at the end as they are.
	ExtraArgs []string
	// Env is the practitioner's.
	Env map[string]string
}

// OpenStack is the target of the program that writes to Cinder volumes. What
// is empty or nil is left to the program's own default.
type OpenStack struct {
	AvailabilityZone     string
	VolumeType           string
	DiskBusType          string
	OSType               string
	EnableQemuGuestAgent *bool
	// Cutover runs the last cycle, which shuts the source down, in place of a
	// cycle beside the running source; the fields below are for it alone.
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

// NewOpenStackJob is the command line of migratekit for OpenStack.
func NewOpenStackJob(common Common, target OpenStack) Job {
	command := "migrate"
	if target.Cutover {
		command = "cutover"
	}
	args := commonArgs(command, common)
	args = appendText(args, "--availability-zone", target.AvailabilityZone)
	args = appendText(args, "--volume-type", target.VolumeType)
	args = appendText(args, "--disk-bus-type", target.DiskBusType)
	args = appendText(args, "--os-type", target.OSType)
	args = appendSwitch(args, "--enable-qemu-guest-agent", target.EnableQemuGuestAgent)
	if target.Cutover {
		args = appendText(args, "--flavor", target.FlavorID)
		for _, mapping := range target.NetworkMappings {
			args = append(args, "--network-mapping", mapping.String())
		}
		args = appendText(args, "--security-groups", strings.Join(target.SecurityGroupIDs, ","))
		args = appendSwitch(args, "--run-v2v", target.RunV2V)
	}
	return newJob(common, args, nil)
}

// NBD is the target of the program that writes to NBD exports.
type NBD struct {
	// Exports are by device key.
	Exports map[int32]Export
	// SingleDisk says that the VM has one disk only, which is then named by its
	// export alone.
	SingleDisk bool
	// JobID is what change IDs are filed under.
	JobID string
	// Store is the URL of the change-ID store.
	Store string
	// Port is the local port that the exports are reached at.
	Port string
}

// Export is one NBD export: its whole URI, and its name alone.
type Export struct{ URI, Name string }

// NewNBDJob is the command line of migratekit for NBD targets.
func NewNBDJob(common Common, target NBD) Job {
	args := commonArgs("migrate", common)
	keys := slices.Sorted(maps.Keys(target.Exports))
	if target.SingleDisk && len(keys) == 1 {
		args = append(args, "--nbd-export-name", target.Exports[keys[0]].Name)
	} else {
		targets := make([]string, 0, len(keys))
		for _, key := range keys {
			targets = append(targets, fmt.Sprintf("%d:%s", key, target.Exports[key].URI))
		}
		args = append(args, "--nbd-targets", strings.Join(targets, ","))
	}
	args = append(args, "--job-id", target.JobID)
	env := map[string]string{
		"CLOUDSTACK_API_URL": target.Store,
		"MIGRATEKIT_JOB_ID":  target.JobID,
		"NBD_LOCAL_PORT":     target.Port,
		// It refuses to start without these two, and our store asks for none.
		"CLOUDSTACK_API_KEY":    cmp.Or(common.Env["CLOUDSTACK_API_KEY"], "unused"),
		"CLOUDSTACK_SECRET_KEY": cmp.Or(common.Env["CLOUDSTACK_SECRET_KEY"], "unused"),
	}
	job := newJob(common, args, env)
	job.ID = target.JobID
	return job
}

func commonArgs(command string, common Common) []string {
	args := []string{
		command,
		"--vmware-endpoint", common.Source.Endpoint,
		"--vmware-username", common.Source.Username,
		"--vmware-password", common.Source.Password,
		"--vmware-path", common.Source.Path,
	}
	return appendText(args, "--compression-method", common.CompressionMethod)
}

func newJob(common Common, args []string, env map[string]string) Job {
	job := Job{
		Program: common.Program,
		Args:    append(args, common.ExtraArgs...),
		Env:     maps.Clone(common.Env),
		Secrets: append(secretValues(common.Env), common.Source.Password),
	}
	if job.Env == nil {
		job.Env = map[string]string{}
	}
	maps.Copy(job.Env, env)
	return job
}

func appendText(args []string, flag, value string) []string {
	if value == "" {
		return args
	}
	return append(args, flag, value)
}

func appendSwitch(args []string, flag string, value *bool) []string {
	if value == nil {
		return args
	}
	return append(args, flag+"="+strconv.FormatBool(*value))
}
