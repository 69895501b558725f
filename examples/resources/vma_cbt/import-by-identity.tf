import {
  to = vma_cbt.web
  identity = {
    id = "503c5a3e-91b2-7d0c-8f44-3a2b6c1d9e70"
  }
}
