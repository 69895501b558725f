// Package openstack reads a project of OpenStack. It is the only package that knows gophercloud, and knows neither Terraform nor vSphere nor
// migratekit.
package openstack
