variable "night" {
  description = "Change it to copy what changed since the last time."
  default     = "first"
}

resource "vma_replication" "nightly" {
  vm_path   = "/DC0/vm/prod/db01"
  openstack = { availability_zone = "nova" }
  triggers  = { night = var.night }
}

output "what_was_copied" {
  value = vma_replication.nightly.last_cycle
}
