// terraform-provider-vma is a Terraform provider that moves virtual machines
// off VMware with migratekit, behind a gate of changed block tracking.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/terraform-plugin-framework/providerserver"

	"github.com/vma-project/terraform-provider-vma/internal/provider"
)

// version is stamped in by the release.
var version = "dev"

func main() {
	debug := flag.Bool("debug", false, "serve for a debugger, and print how Terraform reaches this process")
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *showVersion {
		fmt.Println("terraform-provider-vma", version)
		return
	}
	if err := serve(*debug); err != nil {
		log.Fatal(err)
	}
}

func serve(debug bool) error {
	// A SIGTERM to the whole process group (a CI job that is cancelled) is
	// Terraform's to act on: it then stops its providers gracefully. It must be
	// caught and not ignored, since a child would inherit that.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	defer signal.Stop(signals)

	vma := provider.New(version)
	err := providerserver.Serve(context.Background(), vma.Factory(), providerserver.ServeOpts{
		Address: "registry.terraform.io/vma-project/vma",
		Debug:   debug,
	})
	// Terraform has closed the provider and allows two seconds more.
	if logout := vma.Close(context.Background()); err == nil {
		err = logout
	}
	return err
}
