terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}

# A VM that is blocked holds up only itself.
provider "vma" {
  on_blocked = "warn"
}

data "vma_assessment" "fleet" {
  folder = "/DC0/vm/fleet"
}

resource "vma_replication" "fleet" {
  for_each = toset([for i in range(20) : format("/DC0/vm/fleet/vm%02d", i)])
  vm_path  = each.value

  openstack = { availability_zone = "nova" }
}

output "ready" {
  value = "${data.vma_assessment.fleet.summary.ready} of ${data.vma_assessment.fleet.summary.total} are ready"
}
