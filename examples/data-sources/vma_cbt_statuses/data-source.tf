# Everything in a folder.
data "vma_cbt_statuses" "prod" {
  folder = "/DC0/vm/prod"
}

# Tracking for all of it. What for_each is made of must not depend on tracking
# itself (enabled, blockers): what works already would leave the list, and its
# resource would be destroyed.
resource "vma_cbt" "prod" {
  for_each = { for vm in data.vma_cbt_statuses.prod.vms : vm.vm_path => vm.vm_moid if !vm.template && vm.supported }
  vm_moid  = each.value
}

# A report of what cannot be tracked now, and why.
output "to_do" {
  value = { for vm in data.vma_cbt_statuses.prod.vms : vm.vm_path => vm.blockers if length(vm.blockers) > 0 }
}
