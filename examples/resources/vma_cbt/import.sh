# Import by inventory path, managed object ID, BIOS UUID or instance UUID:
terraform import vma_cbt.web /DC0/vm/prod/web01
terraform import vma_cbt.web vm-1042
terraform import vma_cbt.web 4230b6d1-5f2b-4b0c-9d3c-8f6b7c1a2e3d
