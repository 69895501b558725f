# A new value disables and enables CBT: every disk gets a new epoch.
resource "vma_cbt" "legacy" {
  vm_moid = "vm-1042"

  reset_triggers = {
    after_storage_failure = "2026-11-20"
  }

  timeouts = {
    create = "45m"
  }
}
