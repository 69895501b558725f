# By inventory path, managed object ID, BIOS UUID or instance UUID of the VM.
terraform import vma_replication.web /DC0/vm/prod/web01
