import {
  to = vma_cbt.web
  id = "/DC0/vm/prod/web01"
}
