# One export for each disk, on this machine.
resource "vma_replication" "exported" {
  vm_path = "/DC0/vm/prod/web01"

  nbd = {
    exports = {
      "2000" = "nbd://127.0.0.1:10808/web01-0"
      "2001" = "nbd://127.0.0.1:10808/web01-1"
    }
  }

  on_tracking_reset = "fail"
}
