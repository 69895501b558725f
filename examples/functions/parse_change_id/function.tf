data "vma_cbt_status" "web" {
  vm_path = "/DC0/vm/prod/web01"
}

# The epoch of each disk. It changes only when CBT starts anew.
output "epochs" {
  value = {
    for disk in data.vma_cbt_status.web.disks :
    disk.label => provider::vma::parse_change_id(disk.change_id).epoch
    if disk.tracked
  }
}
