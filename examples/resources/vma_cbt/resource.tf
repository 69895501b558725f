# Enable CBT on every VM that you want to move.
resource "vma_cbt" "to_move" {
  for_each = toset(["web01", "web02", "db01"])

  vm_path    = "/DC0/vm/prod/${each.key}"
  on_destroy = "restore"
}

# A VM that another configuration manages, named by its managed object ID. To
# reset CBT, change the value in reset_triggers.
resource "vma_cbt" "legacy" {
  vm_moid = "vm-1042"

  reset_triggers = {
    after_storage_failure = "2026-11-20"
  }

  timeouts = {
    create = "45m"
  }
}
