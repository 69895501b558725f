# Assess all virtual machines in a folder.
data "vma_assessment" "prod" {
  folder = "/DC0/vm/prod"
}

# How many can be migrated, how much there is to copy, and what was found how often.
output "readiness" {
  value = data.vma_assessment.prod.summary
}

# What prevents the migration of the others, by virtual machine.
output "obstacles" {
  value = {
    for vm in data.vma_assessment.prod.vms :
    vm.vm_path => [for finding in vm.findings : finding.text if finding.severity == "error"] if !vm.ready
  }
}
