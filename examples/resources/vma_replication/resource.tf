resource "vma_cbt" "web" {
  vm_path = "/DC0/vm/prod/web01"
}

variable "cycle" {
  description = "Change it to copy what changed since the last time."
  default     = "first"
}

# Copy two disks to NBD exports on this machine.
resource "vma_replication" "web" {
  vm_path = vma_cbt.web.vm_path

  nbd = {
    exports = {
      "2000" = "nbd://127.0.0.1:10808/web01-0"
      "2001" = "nbd://127.0.0.1:10808/web01-1"
    }
  }

  triggers          = { cycle = var.cycle }
  on_tracking_reset = "fail"
}

# Copy to OpenStack. With cutover = true, the apply also shuts the source down and
# boots the new server.
resource "vma_replication" "db" {
  vm_path = "/DC0/vm/prod/db01"

  openstack = {
    availability_zone = "nova"
    volume_type       = "ssd"
    flavor_id         = "4c3d2f5e-8f7a-4c1e-9a56-0e6f6f0a7b11"
    network_mappings = [{
      mac        = "00:50:56:a1:b2:c3"
      network_id = "b7d3f0de-2c3c-4a8e-bb62-0b0f5d9c1c5e"
      subnet_id  = "0f8c1c7a-5b7b-4f0e-8a0d-5d4d5a1a9b9e"
    }]
  }

  triggers = { cycle = var.cycle }
  cutover  = false
}

output "what_was_copied" {
  value = vma_replication.web.last_cycle
}
