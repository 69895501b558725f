# terraform test plans the fleet without a vCenter. A mocked inventory is empty, so it
# excludes no VM.
mock_provider "vma" {}

variables {
  vms_file = "tests/vms.csv"
}

run "opens_the_first_wave" {
  command = plan

  assert {
    condition     = keys(vma_cbt.vm) == ["licence-dongle", "shop-db-1", "shop-web-1", "shop-web-2"]
    error_message = "CBT is for all VMs."
  }
  assert {
    condition     = keys(vma_replication.vm) == ["shop-web-1", "shop-web-2"]
    error_message = "Only the open wave is replicated."
  }
  assert {
    condition     = !anytrue([for vm in vma_replication.vm : vm.cutover])
    error_message = "Nothing is cut over without cutovers_until."
  }
}

run "cuts_over_what_is_due" {
  command = plan
  variables {
    cutovers_until = "2026-12-05"
  }

  assert {
    condition     = [for id, vm in vma_replication.vm : id if vm.cutover] == ["shop-web-1"]
    error_message = "Only the VM whose date has come is cut over."
  }
  assert {
    condition     = keys(vma_cbt.vm) == ["licence-dongle", "shop-db-1", "shop-web-2"]
    error_message = "A VM that is cut over no longer needs CBT."
  }
}

run "has_a_workspace_for_each_wave" {
  command = plan
  variables {
    waves      = ["2"]
    open_waves = ["1", "2"]
  }

  assert {
    condition     = keys(vma_replication.vm) == ["licence-dongle", "shop-db-1"]
    error_message = "A workspace has its own waves only."
  }
}
