terraform {
  required_providers {
    vma = {
      source = "vma-project/vma"
    }
  }
}

# You can also set the address, user and password in the environment variables
# VSPHERE_SERVER, VSPHERE_USER and VSPHERE_PASSWORD.
provider "vma" {
  vcenter  = "vcenter.example.org"
  username = "migration@vsphere.local"

  # The SHA-256 fingerprint of vCenter's certificate.
  thumbprint = "5E:7A:0F:21:BB:09:6C:44:D1:8E:93:5B:2A:77:F0:13:6D:C4:58:9E:31:A2:B7:0C:EF:64:81:D5:2B:90:7E:A6"
}
