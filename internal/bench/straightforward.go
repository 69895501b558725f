package main

import (
	"context"
	"net/url"
	"sync"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// settle is how long the straightforward way waits after creating a snapshot.
const settle = 5 * time.Second

// straightforward does the obvious for each VM, ten at a time as Terraform does: log in, find it, read it.
// With ensure it also enables CBT, creates a snapshot, sleeps and removes the snapshot.
func straightforward(ctx context.Context, e *estate, first, n int, ensure bool) error {
	todo, failed := make(chan int), make(chan error, n)
	var workers sync.WaitGroup
	for range 10 {
		workers.Go(func() {
			for i := range todo {
				if err := straight(ctx, e, path(first+i), ensure); err != nil {
					failed <- err
				}
			}
		})
	}
	for i := range n {
		todo <- i
	}
	close(todo)
	workers.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

func straight(ctx context.Context, e *estate, path string, ensure bool) error {
	u, err := soap.ParseURL(e.Server)
	if err != nil {
		return err
	}
	u.User = url.UserPassword(vspheretest.Username, vspheretest.Password)
	client, err := govmomi.NewClient(ctx, u, true)
	if err != nil {
		return err
	}
	defer func() { _ = client.Logout(ctx) }()
	vm, err := find.NewFinder(client.Client).VirtualMachine(ctx, path)
	if err != nil {
		return err
	}
	var properties mo.VirtualMachine
	if err := vm.Properties(ctx, vm.Reference(), []string{"config", "runtime", "snapshot"}, &properties); err != nil || !ensure {
		return err
	}
	task, err := vm.Reconfigure(ctx, types.VirtualMachineConfigSpec{ChangeTrackingEnabled: new(true)})
	if err != nil {
		return err
	}
	if err := task.Wait(ctx); err != nil {
		return err
	}
	if task, err = vm.CreateSnapshot(ctx, "init", "", false, false); err != nil {
		return err
	}
	if err := task.Wait(ctx); err != nil {
		return err
	}
	time.Sleep(settle)
	if task, err = vm.RemoveSnapshot(ctx, "init", false, new(true)); err != nil {
		return err
	}
	return task.Wait(ctx)
}
