# The guest gets 45 minutes. With "power_off", it would be turned off then.
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
