data "vma_cbt_status" "web" {
  vm_path = "/DC0/vm/prod/web01"
}

variable "copied" {
  description = "Change IDs of the last copy, by device key."
  type        = map(string)
  default     = {}
}

# The disks that need a full copy in the next cycle.
output "full" {
  value = [
    for disk in data.vma_cbt_status.web.disks : disk.label
    if provider::vma::next_cycle(lookup(var.copied, disk.key, null), disk.change_id) == "full"
  ]
}
