# Read all VMs in a folder.
data "vma_cbt_statuses" "prod" {
  folder = "/DC0/vm/prod"
}

# Enable CBT on all of them. Do not filter for_each by CBT state (enabled,
# blockers): once CBT works on a VM, the VM would leave the list and Terraform
# would destroy its resource. The key is the instance UUID, which a rename keeps.
resource "vma_cbt" "prod" {
  for_each = { for vm in data.vma_cbt_statuses.prod.vms : vm.id => vm.vm_moid if !vm.template && vm.supported }
  vm_moid  = each.value
}

# Report the VMs on which CBT cannot work now, with the reasons.
output "to_do" {
  value = { for vm in data.vma_cbt_statuses.prod.vms : vm.vm_path => vm.blockers if length(vm.blockers) > 0 }
}
