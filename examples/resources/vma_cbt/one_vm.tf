resource "vma_cbt" "web" {
  vm_path = "/DC0/vm/prod/web01"
}
