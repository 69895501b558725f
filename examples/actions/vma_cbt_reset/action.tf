# Reset CBT once, by hand: terraform apply -invoke=action.vma_cbt_reset.web
action "vma_cbt_reset" "web" {
  config {
    vm_path = "/DC0/vm/prod/web01"
  }
}

# Or reset CBT when another resource changes.
resource "terraform_data" "restored" {
  input = "2026-11-20"

  lifecycle {
    action_trigger {
      events  = [after_update]
      actions = [action.vma_cbt_reset.web]
    }
  }
}
