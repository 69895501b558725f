# CBT is disabled again when the resource is destroyed, if it was disabled before.
resource "vma_cbt" "borrowed" {
  vm_path    = "/DC0/vm/prod/web02"
  on_destroy = "restore"
}
