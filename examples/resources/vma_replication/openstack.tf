# migratekit and Terraform run on a server of the project.
resource "vma_replication" "web" {
  vm_path   = "/DC0/vm/prod/web01"
  openstack = { availability_zone = "nova" }
}
