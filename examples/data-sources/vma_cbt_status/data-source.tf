data "vma_cbt_status" "web" {
  vm_path = "/DC0/vm/prod/web01"
}

# Warn if something blocks CBT. A check does not fail an apply.
check "can_be_tracked" {
  assert {
    condition     = length(data.vma_cbt_status.web.blockers) == 0
    error_message = join("\n", data.vma_cbt_status.web.blockers)
  }
}

output "disks" {
  value = { for d in data.vma_cbt_status.web.disks : d.label => d.tracked ? "tracked" : d.reason }
}
