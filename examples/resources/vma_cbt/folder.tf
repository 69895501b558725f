data "vma_cbt_statuses" "prod" {
  folder = "/DC0/vm/prod"
}

# The key is the instance UUID, which a rename keeps. Do not filter by CBT state:
# once CBT works on a VM, the VM would leave the list, and its resource would be
# destroyed.
resource "vma_cbt" "prod" {
  for_each = { for vm in data.vma_cbt_statuses.prod.vms : vm.id => vm.vm_moid if !vm.template && vm.supported }
  vm_moid  = each.value
}
