# Change tracking on every virtual machine that is to be moved.
resource "vma_cbt" "to_move" {
  for_each = toset(["web01", "web02", "db01"])

  vm_path    = "/DC0/vm/prod/${each.key}"
  on_destroy = "restore"
}

# A virtual machine that another configuration manages, by its managed object
# ID, and a way to reset tracking: change the value.
resource "vma_cbt" "legacy" {
  vm_moid = "vm-1042"

  reset_triggers = {
    after_storage_failure = "2026-11-20"
  }

  timeouts = {
    create = "45m"
  }
}
