terraform {
  required_providers {
    vma = { source = "vma-project/vma" }
  }
}

data "vma_assessment" "prod" {
  folder = "/DC0/vm/prod"
}

output "summary" {
  value = data.vma_assessment.prod.summary
}

output "obstacles" {
  value = {
    for vm in data.vma_assessment.prod.vms :
    vm.vm_name => [for finding in vm.findings : finding.text if finding.severity == "error"] if !vm.ready
  }
}
