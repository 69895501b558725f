data "vma_cbt_status" "web" {
  vm_path = "/DC0/vm/prod/web01"
}

variable "copied" {
  description = "Change IDs that were copied last, by device key."
  type        = map(string)
  default     = {}
}

# Which disks the next cycle copies whole.
output "full" {
  value = [
    for disk in data.vma_cbt_status.web.disks : disk.label
    if provider::vma::next_cycle(lookup(var.copied, disk.key, null), disk.change_id) == "full"
  ]
}
