# The volumes that migratekit made in the project.
data "vma_openstack_volumes" "all" {}

data "vma_cbt_statuses" "all" {}

# Volumes that no server has, of virtual machines that are no longer in vCenter. They
# cost quota. A volume that a server has may be the disk of a VM that was cut over.
output "volumes_without_a_vm" {
  value = {
    for volume in data.vma_openstack_volumes.all.volumes : volume.id => volume.name
    if length(volume.attached_to) == 0 && !contains(data.vma_cbt_statuses.all.vms[*].vm_moid, volume.vm_moid)
  }
}
