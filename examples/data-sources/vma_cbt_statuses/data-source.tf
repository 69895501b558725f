# Everything in a folder whose tracking is off.
data "vma_cbt_statuses" "off" {
  folder  = "/DC0/vm/prod"
  enabled = false
}

# Tracking for all of it that nothing stands in the way of.
resource "vma_cbt" "prod" {
  for_each = { for vm in data.vma_cbt_statuses.off.vms : vm.vm_path => vm.vm_moid if length(vm.blockers) == 0 }
  vm_moid  = each.value
}

# A report of what cannot be tracked yet, and why.
output "to_do" {
  value = { for vm in data.vma_cbt_statuses.off.vms : vm.vm_path => vm.blockers if length(vm.blockers) > 0 }
}
