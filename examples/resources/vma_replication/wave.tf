variable "cut_over" {
  description = "Names of the VMs to cut over. A name stays in the list."
  type        = set(string)
  default     = []
}

locals {
  wave = {
    db01 = "00:50:56:a1:b2:c3"
  }
}

resource "vma_replication" "wave" {
  for_each = local.wave
  vm_path  = "/DC0/vm/prod/${each.key}"
  cutover  = contains(var.cut_over, each.key)

  # Refuse a cutover that would take long.
  cutover_limits = {
    max_age           = "24h"
    max_changed_bytes = 10737418240 # 10 GiB
  }

  openstack = {
    availability_zone = "nova"
    volume_type       = "ssd"
    flavor_id         = "4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11"
    network_mappings = [{
      mac        = each.value
      network_id = "b7d3f0de-2c3c-4a8e-bb62-0b0f5d9c1c5e"
      subnet_id  = "0f8c1c7a-5b7b-4f0e-8a0d-5d4d5a1a9b9e"
    }]
  }
}
