# One more cycle, every night: terraform apply -auto-approve -invoke=action.vma_replicate.web
action "vma_replicate" "web" {
  config {
    vm_path = "/DC0/vm/prod/web01"

    openstack = {
      availability_zone = "nova"
      volume_type       = "ssd"
    }

    on_leftover_snapshot = "remove"
  }
}
