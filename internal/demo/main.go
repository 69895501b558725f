// Command demo shows the provider at work without a vCenter. It builds the provider (or installs it from a
// release), starts the embedded vCenter, NBD exports and an OpenStack, and runs real terraform commands. With -playground it
// runs none and waits for yours. It removes everything but its log at its end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit/migratekittest"
	"github.com/vma-project/terraform-provider-vma/internal/nbd/nbdtest"
	"github.com/vma-project/terraform-provider-vma/internal/openstack/openstacktest"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func main() {
	if migratekittest.Called() {
		os.Exit(migratekittest.Main())
	}
	release := flag.String("mirror", "", "install the provider with terraform init, from the release in this `directory`")
	yours := flag.Bool("playground", false, "run no commands, and wait for yours")
	flag.Parse()
	log.SetOutput(io.Discard) // silence the simulator
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *release, *yours); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// stage is the environment of the demo.
type stage struct {
	vcenter *vspheretest.VCenter
	web     *vspheretest.Machine
	app     *vspheretest.Machine
	fleet   []*vspheretest.Machine
	nbd     *nbdtest.Server
	cloud   *openstacktest.Cloud
	cli     *cli
	out     *out
}

const (
	gib      = 1 << 30
	firstKey = 2000
)

func run(ctx context.Context, release string, yours bool) (err error) {
	dir, err := os.MkdirTemp("", "vma-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	vcenter, err := vspheretest.Start()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vcenter.Close()) }()
	s := &stage{vcenter: vcenter, cloud: newCloud()}
	defer s.cloud.Close()
	if s.out, err = newOut(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.out.log.Close()) }()
	if err := s.furnish(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.nbd.Close()) }()
	if s.cli, err = newCLI(ctx, dir, release, vcenter, s.cloud, s.out, map[string]string{
		"2000": s.nbd.URI("web01-0"), "2001": s.nbd.URI("web01-1"),
	}); err != nil {
		return err
	}
	if yours {
		return s.playground(ctx)
	}
	return s.play(ctx)
}

// newCloud starts an OpenStack with a flavor and a network.
func newCloud() *openstacktest.Cloud {
	const network = "b7d3f0de-2c3c-4a8e-bb62-0b0f5d9c1c5e"
	return openstacktest.Start().Add(openstacktest.Flavor, "4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11", "m1.large").Add(openstacktest.Network, network, "lan").
		AddSubnet("0f8c1c7a-5b7b-4f0e-8a0d-5d4d5a1a9b9e", network, "10.0.0.0/24", "10.0.0.1")
}

// furnish creates VMs of different kinds, and NBD exports for the disks of one.
func (s *stage) furnish() (err error) {
	s.web, err = s.vcenter.AddVM(vspheretest.Spec{
		Path: "/DC0/vm/prod/web01", Disks: []vspheretest.Disk{{Size: 20 * gib}, {Size: 40 * gib}},
	})
	if err != nil {
		return err
	}
	if _, err = s.vcenter.AddVM(vspheretest.Spec{Path: "/DC0/vm/prod/db01", Off: true}); err != nil {
		return err
	}
	if _, err = s.vcenter.AddVM(vspheretest.Spec{
		Path: "/DC0/vm/prod/legacy01", Disks: []vspheretest.Disk{{}, {Kind: vspheretest.IndependentPersistent}},
	}); err != nil {
		return err
	}
	s.app, err = s.vcenter.AddVM(vspheretest.Spec{
		Path: "/DC0/vm/prod/app01", Disks: []vspheretest.Disk{{Size: 20 * gib}}, MACs: []string{"00:50:56:a1:b2:c3"},
	})
	if err != nil {
		return err
	}
	for i := range 20 {
		vm, err := s.vcenter.AddVM(vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/fleet/vm%02d", i)})
		if err != nil {
			return err
		}
		s.fleet = append(s.fleet, vm)
	}
	for _, vm := range append([]*vspheretest.Machine{s.web, s.app}, s.fleet...) {
		vm.SetUsed(firstKey, 512<<20)
	}
	s.nbd, err = nbdtest.Start(nbdtest.Newstyle, map[string]nbdtest.Export{
		"web01-0": {Size: 20 * gib}, "web01-1": {Size: 40 * gib},
	})
	return err
}
