output "waves" {
  description = "How many VMs of each open wave are where."
  value = {
    for wave in distinct([for row in local.open : row.wave]) : wave => {
      for status in distinct([for id, row in local.open : try(vma_replication.vm[id].status, "waiting") if row.wave == wave]) :
      status => length([for id, row in local.open : id if row.wave == wave && try(vma_replication.vm[id].status, "waiting") == status])
    }
  }
}

output "attention" {
  description = "Why the last cycle of a VM failed."
  value       = { for id, vm in vma_replication.vm : id => vm.last_error if vm.last_error != null }
}

output "excluded" {
  description = "VMs that can never be tracked, and why."
  value       = { for id, row in local.rows : id => join("; ", local.untrackable[row.vm_uuid]) if contains(keys(local.untrackable), row.vm_uuid) }
}

output "last_cycles" {
  description = "What the last cycle of each VM copied, and how fast."
  value = {
    for id, vm in vma_replication.vm : id => {
      kind             = try(vm.last_cycle.kind, null)
      gib              = try(floor(vm.last_cycle.changed_bytes / 1073741824), null)
      duration_minutes = try(floor(vm.last_cycle.duration_seconds / 60), null)
    }
  }
}

output "cycle" {
  description = "The value of the last cycle, which the drift check passes again."
  value       = var.cycle
}
