terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}

variable "cycle" {
  description = "Number of the cycle to run; 0 runs none."
  type        = number
}

variable "exports" {
  description = "NBD export for each disk of web01, by device key."
  type        = map(string)
}

# Address, user, password and fingerprint come from VSPHERE_* in the environment.
provider "vma" {}

# Enables CBT on three VMs: web01 runs and has two disks, db01 is powered off,
# legacy01 has a disk that cannot be tracked.
resource "vma_cbt" "all" {
  for_each = toset(["web01", "db01", "legacy01"])
  vm_path  = "/DC0/vm/prod/${each.key}"
}

# Copies web01 to NBD exports, once for each value of cycle.
resource "vma_replication" "web01" {
  count   = var.cycle > 0 ? 1 : 0
  vm_path = vma_cbt.all["web01"].vm_path

  nbd      = { exports = var.exports }
  triggers = { cycle = var.cycle }
}

data "vma_cbt_status" "all" {
  for_each = vma_cbt.all
  vm_moid  = each.value.vm_moid
}

output "status" {
  value = join("\n", concat(
    [format("%-10s %-11s %-8s %-12s %s", "VM", "POWER", "ENABLED", "INITIALIZED", "DISKS")],
    [for name, s in data.vma_cbt_status.all : format("%-10s %-11s %-8s %-12s %s", name, s.power_state, tostring(s.enabled), tostring(s.initialized),
      join(", ", [for d in s.disks : "${d.key} ${d.tracked ? "tracked" : "not tracked"}"])
    )],
  ))
}

output "last_cycle" {
  value = one(vma_replication.web01[*].last_cycle)
}
