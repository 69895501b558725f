package cbt_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

func account(vcenter *vspheretest.VCenter) vsphere.Config {
	return vsphere.Config{
		Server: vcenter.URL.Host, Username: vspheretest.Username, Password: vspheretest.Password,
		Thumbprint: vcenter.Thumbprint(),
	}
}

func start(t *testing.T, options ...vspheretest.Option) (*vspheretest.VCenter, *cbt.Manager) {
	t.Helper()
	vcenter, err := vspheretest.Start(options...)
	if err != nil {
		t.Fatal(err)
	}
	client, err := vsphere.NewClient(account(vcenter))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(client.Close(context.Background()), vcenter.Close()); err != nil {
			t.Error(err)
		}
	})
	return vcenter, cbt.NewManager(client, slog.New(slog.DiscardHandler))
}

func addVM(t *testing.T, vcenter *vspheretest.VCenter, spec vspheretest.Spec) *vspheretest.Machine {
	t.Helper()
	vm, err := vcenter.AddVM(spec)
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

func TestEnsure(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spec      vspheretest.Spec
		options   []vspheretest.Option
		snapshots int // expected number
	}{
		"running":               {vspheretest.Spec{}, nil, 1},
		"running, flag at once": {vspheretest.Spec{}, []vspheretest.Option{vspheretest.FlagAtOnce()}, 1},
		"powered off":           {vspheretest.Spec{Off: true}, nil, 0},
		"several disks": {vspheretest.Spec{Disks: []vspheretest.Disk{
			{}, {Kind: vspheretest.SeSparse}, {Kind: vspheretest.VirtualRDM}, {Kind: vspheretest.SparseVer2},
		}}, nil, 1},
		"a disk that cannot be tracked": {vspheretest.Spec{Disks: []vspheretest.Disk{
			{}, {Kind: vspheretest.IndependentPersistent}, {Kind: vspheretest.PhysicalRDM},
		}}, nil, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vcenter, manager := start(t, test.options...)
			test.spec.Path = "/DC0/vm/prod/web01"
			vm := addVM(t, vcenter, test.spec)
			vcenter.ResetCalls()
			status, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if !status.Enabled() || !status.Initialized() {
				t.Errorf("enabled %t, initialized %t", status.Enabled(), status.Initialized())
			}
			enabled, _ := vm.Tracking()
			if !enabled {
				t.Error("the flag is not set in vCenter")
			}
			if got := vcenter.Calls()["CreateSnapshot_Task"]; got != test.snapshots {
				t.Errorf("%d snapshots made, want %d", got, test.snapshots)
			}
			if left := vm.Snapshots(); len(left) > 0 {
				t.Errorf("snapshots left: %v", left)
			}
			t.Log(vcenter.Calls())
			before := vcenter.Calls()
			if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
				t.Fatal(err)
			}
			after := vcenter.Calls()
			if writes := after["ReconfigVM_Task"] + after["CreateSnapshot_Task"] - before["ReconfigVM_Task"] - before["CreateSnapshot_Task"]; writes != 0 {
				t.Errorf("a second ensure wrote %d times", writes)
			}
		})
	}
}

func TestEnsureAsksForNoMore(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web01"})
	want := map[string][]string{
		"ReconfigVM_Task":     {"<spec><changeTrackingEnabled>true</changeTrackingEnabled></spec>"},
		"CreateSnapshot_Task": {"<memory>false</memory>", "<quiesce>false</quiesce>", "<name>vma-cbt-init-", "[terraform-provider-vma:cbt-init]"},
		"RemoveSnapshot_Task": {"<removeChildren>false</removeChildren>"},
	}
	for method, parts := range want {
		vcenter.Intercept(&vspheretest.Interceptor{Method: method, Before: func(_ http.ResponseWriter, r *http.Request) bool {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			for _, part := range parts {
				if !strings.Contains(string(body), part) {
					t.Errorf("%s without %s: %s", method, part, body)
				}
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			return false
		}})
	}
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil {
		t.Fatal(err)
	}
	for method := range want {
		if n := vcenter.Calls()[method]; n != 1 {
			t.Errorf("%s was called %d times", method, n)
		}
	}
}

func TestEnsureLeavesDiskWithoutChangeID(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web01", Disks: []vspheretest.Disk{{}, {}}})
	vm.LeaveUninitialized(2001, true)
	_, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
	var uninitialized *cbt.UninitializedError
	if !errors.As(err, &uninitialized) {
		t.Fatalf("got %v", err)
	}
	if len(uninitialized.Disks) != 1 || uninitialized.Disks[0].Key != 2001 {
		t.Errorf("names %+v", uninitialized.Disks)
	}
	if left := vm.Snapshots(); len(left) > 0 {
		t.Errorf("snapshots left: %v", left)
	}
}

func TestReset(t *testing.T) {
	t.Parallel()
	for _, off := range []bool{false, true} {
		vcenter, manager := start(t)
		vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web01", Off: off})
		before, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		after, err := manager.Reset(t.Context(), vm.Moid())
		if err != nil {
			t.Fatal(err)
		}
		if cbt.Epoch(before.Disks[0].ChangeID) == cbt.Epoch(after.Disks[0].ChangeID) {
			t.Error("the epoch is the same")
		}
		if err := manager.Disable(t.Context(), vm.Moid()); err != nil {
			t.Fatal(err)
		}
		enabled, ids := vm.Tracking()
		if enabled || ids[2000] != "" {
			t.Errorf("after Disable: flag %t, %v", enabled, ids)
		}
		if left := vm.Snapshots(); len(left) > 0 {
			t.Errorf("snapshots left: %v", left)
		}
	}
}

func TestEnsureRemovesItsLeftover(t *testing.T) {
	t.Parallel()
	vcenter, manager := start(t)
	vm := addVM(t, vcenter, vspheretest.Spec{Path: "/DC0/vm/web01"})
	ours := []string{"vma-cbt-init-abc", "made by [terraform-provider-vma:cbt-init]"}
	for _, s := range [][]string{ours, {"vma-cbt-init-foreign", "no mark"}, {"nightly", "[terraform-provider-vma:cbt-init]"}} {
		if err := vm.AddSnapshot(s[0], s[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{AllowExistingSnapshots: true}); err != nil {
		t.Fatal(err)
	}
	if got := vm.Snapshots(); !slices.Equal(got, []string{"vma-cbt-init-foreign", "nightly"}) {
		t.Errorf("snapshots now: %v", got)
	}
}
