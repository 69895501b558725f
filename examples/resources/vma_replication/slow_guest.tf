# A guest that takes long to shut down. With power_off it is turned off in the end, as pulling the plug would.
resource "vma_replication" "slow" {
  vm_path             = "/DC0/vm/prod/web02"
  shutdown_timeout    = "45m"
  on_shutdown_timeout = "fail"
  openstack           = { availability_zone = "nova" }

  timeouts = {
    create = "72h"
    update = "12h"
  }
}
