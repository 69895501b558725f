terraform {
  required_version = ">= 1.11"

  # Keep the state in a backend with workspaces and locks, such as s3 or pg: a runner
  # forgets local files, and with them what was copied and what was cut over.
  # backend "s3" {}

  required_providers {
    vma = { source = "vma-project/vma" }
  }
}

provider "vma" {
  # A VM that is blocked is a warning at plan and an error of that VM at apply.
  on_blocked           = "warn"
  on_leftover_snapshot = "remove"

  # Run the apply with -parallelism=50: a cycle that waits occupies one of them.
  concurrency = {
    total         = 10
    per_host      = 2
    per_datastore = 4
  }
}

# Disks and hardware of all VMs, in a few calls.
data "vma_cbt_statuses" "all" {}

locals {
  rows = {
    for row in csvdecode(file(var.vms_file)) : row.id => merge(row, { vm_uuid = lower(row.vm_uuid) })
    if var.waves == null || contains(coalesce(var.waves, []), row.wave)
  }

  # VMs that can never be copied, because migratekit copies every disk: no apply would succeed, and every drift check would
  # report changes. BIOS UUIDs may be used twice, so each has a list of reasons.
  untrackable = {
    for vm in data.vma_cbt_statuses.all.vms : vm.vm_uuid => join("; ", concat(
      vm.blockers, [for disk in vm.disks : "${disk.label}: ${disk.reason}" if !disk.trackable]
    ))...
    if !vm.supported || !alltrue(vm.disks[*].trackable)
  }

  open = { for id, row in local.rows : id => row if contains(var.open_waves, row.wave) }

  cut_over = toset([
    for id, row in local.rows : id
    if row.cutover != "" && var.cutovers_until != "" && try(timecmp("${row.cutover}T00:00:00Z", "${var.cutovers_until}T00:00:00Z") <= 0, false)
  ])
}

# CBT for all VMs that are not cut over, long before their wave.
resource "vma_cbt" "vm" {
  for_each = {
    for id, row in local.rows : id => row
    if !contains(local.cut_over, id) && !contains(keys(local.untrackable), row.vm_uuid)
  }

  vm_uuid = each.value.vm_uuid
}

# It does not refer to vma_cbt.vm: if one of those failed, Terraform would skip all
# replications. Each replication checks CBT itself.
resource "vma_replication" "vm" {
  for_each = {
    for id, row in local.rows : id => row
    if contains(local.cut_over, id) || (contains(keys(local.open), id) && !contains(keys(local.untrackable), row.vm_uuid))
  }

  vm_uuid = each.value.vm_uuid
  cutover = contains(local.cut_over, each.key)

  # The last increment says how long the cutover takes.
  cutover_limits = {
    max_age = "36h"
  }

  openstack = {
    availability_zone = "nova"
    flavor_id         = each.value.flavor_id
    network_mappings = [{
      mac        = each.value.mac
      network_id = each.value.network_id
      subnet_id  = each.value.subnet_id
    }]
  }

  triggers = { cycle = var.cycle }

  timeouts = {
    create = "48h"
  }
}
