terraform {
  required_providers {
    vsphere = { source = "hashicorp/vsphere" }
    vma     = { source = "vma-project/vma" }
  }
}

# Both providers read VSPHERE_SERVER, VSPHERE_USER and VSPHERE_PASSWORD from the
# environment.
provider "vsphere" {}
provider "vma" {}

# A VM that the vSphere provider creates.
variable "resource_pool_id" {
  type    = string
  default = "resgroup-8"
}

resource "vsphere_virtual_machine" "web" {
  name             = "web01"
  folder           = "prod"
  resource_pool_id = var.resource_pool_id
  num_cpus         = 2
  memory           = 4096
}

resource "vma_cbt" "web" {
  vm_moid = vsphere_virtual_machine.web.moid
}

# An existing VM that the vSphere provider finds.
data "vsphere_virtual_machine" "db" {
  name = "db01"
}

resource "vma_cbt" "db" {
  vm_moid = data.vsphere_virtual_machine.db.moid
}

# Its disks by device key. Use these keys in nbd.exports of vma_replication.
data "vma_cbt_status" "db" {
  vm_moid = vma_cbt.db.vm_moid
}

output "disks_of_db" {
  value = { for disk in data.vma_cbt_status.db.disks : disk.key => disk.label }
}
