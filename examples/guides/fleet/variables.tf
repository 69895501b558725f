variable "vms_file" {
  description = "CSV file with a row for each VM."
  type        = string
  default     = "vms.csv"
}

variable "waves" {
  description = "Waves of this workspace; null for all. Each workspace has a state and a lock of its own."
  type        = set(string)
  default     = null
}

variable "open_waves" {
  description = "Waves that are replicated. The VMs of other waves only get CBT."
  type        = set(string)
  default     = ["1"]
}

variable "cutovers_until" {
  description = "Cut over the VMs whose column cutover has this date (2026-12-05) or an earlier one. Keep it after the cutover. Empty for none."
  type        = string
  default     = ""
}

variable "cycle" {
  description = "Another value runs another cycle of every open VM."
  type        = string
  default     = "first"
}
