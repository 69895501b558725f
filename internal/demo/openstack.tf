terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}

variable "flavor" { default = "m1.large" }

variable "cutover" { default = false }

variable "cycle" { default = 1 }

resource "vma_replication" "app" {
  vm_path  = "/DC0/vm/prod/app01"
  cutover  = var.cutover
  triggers = { cycle = var.cycle }

  openstack = {
    availability_zone = "nova"
    flavor_id         = var.flavor
    network_mappings = [{
      mac        = "00:50:56:a1:b2:c3"
      network_id = "b7d3f0de-2c3c-4a8e-bb62-0b0f5d9c1c5e"
      subnet_id  = "0f8c1c7a-5b7b-4f0e-8a0d-5d4d5a1a9b9e"
    }]
  }
}

output "last_cycle" {
  value = vma_replication.app.last_cycle
}

output "server" {
  value = try(vma_replication.app.server.addresses[0], "none")
}
