package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
)

// Summary counts what an assessment found.
type Summary struct {
	Total, Ready, LeftOut int
	Sizes
	// Findings has the number of VMs by the code of a finding.
	Findings map[string]int
}

// Summarize counts what an assessment found.
func Summarize(assessed cbt.Assessed) Summary {
	s := Summary{Total: len(assessed.VMs), LeftOut: assessed.LeftOut, Findings: map[string]int{}}
	for _, vm := range assessed.VMs {
		if vm.Ready() {
			s.Ready++
		}
		s.plus(sizesOf(vm))
		for code := range codes(vm) {
			s.Findings[code]++
		}
	}
	return s
}

func codes(vm cbt.Assessment) map[string]bool {
	codes := map[string]bool{}
	for _, f := range vm.Findings {
		codes[f.Code] = true
	}
	return codes
}

// Sizes adds up disks, in bytes. Used leaves out disks whose used bytes are unknown.
type Sizes struct {
	Capacity, Used int64
	// Unknown counts those disks, and VMs of whose disks nothing is known.
	Unknown int
}

func (s *Sizes) plus(other Sizes) {
	s.Capacity, s.Used, s.Unknown = s.Capacity+other.Capacity, s.Used+other.Used, s.Unknown+other.Unknown
}

func (s *Sizes) add(vm cbt.Assessment, disk cbt.DiskStatus) {
	s.Capacity += disk.Capacity
	if used, ok := vm.VM.Details.Used[disk.Key]; ok {
		s.Used += used
	} else {
		s.Unknown++
	}
}

func sizesOf(vm cbt.Assessment) Sizes {
	var s Sizes
	if !vm.VM.Details.Configured {
		s.Unknown++
	}
	for _, disk := range vm.Disks {
		s.add(vm, disk)
	}
	return s
}

// kind is a kind of finding with the VMs that have it.
type kind struct {
	cbt.Finding
	// VMs is how many have it, Alone for how many of them it is the only kind of error.
	VMs, Alone int
	// Problems are its texts, each with the VMs that it is about.
	Problems []problem
	// Everywhere is true if all VMs of the assessment have it.
	Everywhere bool

	at map[string]int // index of a problem, by its text
}

type problem struct {
	Text string
	VMs  []string
}

// Several reports whether the text is about more than one VM.
func (p problem) Several() bool { return len(p.VMs) > 1 }

// kinds groups the findings of a severity by code, those of most VMs first. It leaves the common folder out of paths.
func kinds(vms []cbt.Assessment, severity cbt.Severity, folder string) []kind {
	byCode := map[string]*kind{}
	for _, vm := range vms {
		seen, errors := map[string]bool{}, map[string]bool{}
		for _, f := range vm.Findings {
			if f.Severity == cbt.Error {
				errors[f.Code] = true
			}
		}
		for _, f := range vm.Findings {
			if f.Severity != severity {
				continue
			}
			k := byCode[f.Code]
			if k == nil {
				k = &kind{Finding: f, at: map[string]int{}}
				byCode[f.Code] = k
			}
			k.add(visible(f.Problem), visible(strings.TrimPrefix(vm.VM.Path, folder)))
			if seen[f.Code] {
				continue
			}
			seen[f.Code] = true
			k.VMs++
			if severity == cbt.Error && len(errors) == 1 {
				k.Alone++
			}
		}
	}
	var all []kind
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		k := *byCode[code]
		k.Everywhere = k.VMs == len(vms) && len(k.Problems) == 1
		slices.SortStableFunc(k.Problems, func(a, b problem) int { return cmp.Compare(len(b.VMs), len(a.VMs)) })
		all = append(all, k)
	}
	slices.SortStableFunc(all, func(a, b kind) int { return cmp.Compare(b.VMs, a.VMs) })
	return all
}

func (k *kind) add(text, name string) {
	i, ok := k.at[text]
	if !ok {
		i = len(k.Problems)
		k.at[text], k.Problems = i, append(k.Problems, problem{Text: text})
	}
	k.Problems[i].VMs = append(k.Problems[i].VMs, name)
}

// commonFolder returns the folder that all VMs are below, with a slash at its end.
func commonFolder(vms []cbt.Assessment) string {
	if len(vms) == 0 {
		return ""
	}
	folder := vms[0].VM.Path
	for _, vm := range vms {
		for folder != "" && (!strings.HasPrefix(vm.VM.Path, folder) || !strings.HasSuffix(folder, "/")) {
			folder = folder[:strings.LastIndex(strings.TrimSuffix(folder, "/"), "/")+1]
		}
	}
	return folder
}

// place is a host or a datastore with what the VMs have there.
type place struct {
	Name string
	VMs  int
	Sizes

	datacenter string
}

// places adds up disks by host and by datastore, the largest first.
func places(vms []cbt.Assessment) (hosts, datastores []place) {
	byHost, byDatastore := map[string]*place{}, map[string]*place{}
	at := func(all map[string]*place, key, name, datacenter string) *place {
		if all[key] == nil {
			all[key] = &place{Name: name, datacenter: datacenter}
		}
		return all[key]
	}
	for _, vm := range vms {
		datacenter := datacenterOf(vm.VM.Path)
		host, seen := at(byHost, vm.VM.Host, cmp.Or(vm.VM.Details.Host, unknown), datacenter), map[string]bool{}
		host.VMs++
		for _, disk := range vm.Disks {
			name := datastoreOf(disk.File)
			key := datacenter + "/" + name
			datastore := at(byDatastore, key, name, datacenter)
			host.add(vm, disk)
			datastore.add(vm, disk)
			if !seen[key] {
				seen[key] = true
				datastore.VMs++
			}
		}
	}
	return sorted(byHost), sorted(byDatastore)
}

// sorted tells places of the same name in several datacenters apart.
func sorted(all map[string]*place) []place {
	named := map[string]int{}
	for _, p := range all {
		named[p.Name]++
	}
	var list []place
	for _, key := range slices.Sorted(maps.Keys(all)) {
		p := *all[key]
		if named[p.Name] > 1 {
			p.Name += " (" + p.datacenter + ")"
		}
		list = append(list, p)
	}
	slices.SortStableFunc(list, func(a, b place) int { return cmp.Compare(b.Capacity, a.Capacity) })
	return list
}

const unknown = "unknown"

// datacenterOf returns the datacenter of an inventory path, with the folders that it is in.
func datacenterOf(path string) string {
	datacenter, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/vm/")
	return datacenter
}

// datastoreOf returns the name in a datastore path, "[name] folder/file".
func datastoreOf(file string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(file, "["), "] ")
	if !strings.HasPrefix(file, "[") {
		name = ""
	}
	return cmp.Or(name, unknown)
}

// worstFirst sorts VMs by their worst finding, then by path.
func worstFirst(vms []cbt.Assessment) []cbt.Assessment {
	all := slices.Clone(vms)
	slices.SortStableFunc(all, func(a, b cbt.Assessment) int { return cmp.Compare(rank(a), rank(b)) })
	return all
}

// rank is 0 for a VM that is not ready, 1 for one with warnings, 2 for others.
func rank(vm cbt.Assessment) int {
	for i, severity := range []cbt.Severity{cbt.Error, cbt.Warning} {
		if slices.ContainsFunc(vm.Findings, func(f cbt.Finding) bool { return f.Severity == severity }) {
			return i
		}
	}
	return 2
}
