# Run: terraform query -generate-config-out=prod.tf
list "vma_cbt" "prod" {
  provider = vma
  limit    = 1000

  config {
    folder = "/DC0/vm/prod"
    name   = "web*"
  }
}
