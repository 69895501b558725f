# assessment/main.tf
terraform {
  required_version = ">= 1.11.0"
  required_providers {
    vma = {
      source = "vma-project/vma"
    }
    local = {
      source = "hashicorp/local"
    }
  }
}

# Credentials come from VSPHERE_SERVER, VSPHERE_USER and VSPHERE_PASSWORD.
provider "vma" {}

data "vma_assessment" "all" {
  folder = "/DC0/vm/prod"
}

# A page to open in a browser, to print, or to hand on.
resource "local_file" "page" {
  filename = "assessment.html"
  content  = data.vma_assessment.all.html
}

# The same for the job summary of a pipeline.
resource "local_file" "summary" {
  filename = "assessment.md"
  content  = data.vma_assessment.all.markdown
}

# Which wave each virtual machine belongs to: here by the first letter of its name.
locals {
  waves = {
    for vm in data.vma_assessment.all.vms :
    substr(vm.vm_name, 0, 1) => vm... if vm.ready
  }

  # What one migratekit copies per second, in bytes: used_bytes of a VM divided by
  # duration_seconds of its first last_cycle.
  rate = 80 * 1000 * 1000
  # How many of them copy at the same time.
  at_once = 4
}

# A first copy reads about the used bytes; where they are unknown, it may read the whole disk.
output "waves" {
  value = {
    for wave, vms in local.waves : wave => {
      vms   = length(vms)
      bytes = sum(flatten([for vm in vms : [for disk in vm.disks : coalesce(disk.used_bytes, disk.capacity_bytes)]]))
      hours = ceil(sum(flatten([for vm in vms : [for disk in vm.disks : coalesce(disk.used_bytes, disk.capacity_bytes)]])) / local.rate / local.at_once / 3600)
    }
  }
}
