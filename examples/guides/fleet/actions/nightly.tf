# Needs Terraform 1.14: copy this file to the directory above. Then a night is
#
#   terraform apply -auto-approve -parallelism=50 -invoke=action.vma_replicate.vm
#
# It changes no trigger, so the next plan shows no diff.
action "vma_replicate" "vm" {
  for_each = {
    for id, row in local.open : id => row
    if !contains(local.cut_over, id) && !contains(keys(local.untrackable), row.vm_uuid)
  }

  config {
    vm_uuid   = each.value.vm_uuid
    openstack = { availability_zone = "nova" }
  }
}
