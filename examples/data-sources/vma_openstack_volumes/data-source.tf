# The volumes that migratekit made in the project.
data "vma_openstack_volumes" "all" {}

# Volumes of VMs that are in no replication any more. They cost quota: delete them
# in OpenStack when you no longer need them.
data "vma_cbt_statuses" "all" {}

output "volumes_without_a_vm" {
  value = {
    for volume in data.vma_openstack_volumes.all.volumes : volume.id => volume.name
    if !contains(data.vma_cbt_statuses.all.vms[*].vm_moid, volume.vm_moid)
  }
}
