// terraform-provider-vma is a Terraform provider that moves virtual machines
// off VMware with migratekit, behind a gate of changed block tracking.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"

	"github.com/vma-project/terraform-provider-vma/internal/provider"
)

// version is stamped in by the release.
var version = "dev"

func main() {
	debugged := flag.Bool("debug", false, "serve for a debugger, and print how Terraform reaches this process")
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *showVersion {
		fmt.Println("terraform-provider-vma", version)
		return
	}
	if err := serve(*debugged); err != nil {
		log.Fatal(err)
	}
}

func serve(debugged bool) error {
	// A SIGTERM to the whole process group (a CI job that is cancelled) is
	// Terraform's to act on: it then stops its providers gracefully. A SIGHUP
	// (the terminal is gone) kills it, and a write to it is a SIGPIPE then. All
	// must be caught and not ignored, since a child would inherit that.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	defer signal.Stop(signals)

	vma := provider.New(version)
	var options []tf6server.ServeOpt
	if debugged {
		options = append(options, tf6server.WithManagedDebug())
	} else {
		limitLogs()
		limitMemory()
		go outliveTerraform(vma)
	}
	err := tf6server.Serve("registry.terraform.io/vma-project/vma", vma.Server, options...)
	// Terraform has closed the provider and allows two seconds more.
	if logout := vma.Close(context.Background()); err == nil {
		err = logout
	}
	return err
}

// limitLogs logs no more than Terraform asks for. It says so by what is in the
// environment, and throws the rest away, after both have paid for it; the
// framework writes a dozen lines for each call.
func limitLogs() {
	level := cmp.Or(os.Getenv("TF_LOG_PROVIDER"), os.Getenv("TF_LOG"), "OFF")
	for _, name := range []string{"TF_LOG_SDK", "TF_LOG_SDK_FRAMEWORK", "TF_LOG_SDK_PROTO", "TF_LOG_PROVIDER_VMA"} {
		if _, own := os.LookupEnv(name); !own {
			_ = os.Setenv(name, level)
		}
	}
}

const (
	// gcPercent lets garbage pile up: little of what a call makes outlives it.
	gcPercent = 400
	// memoryLimit, in bytes, is from where on it does not.
	memoryLimit = 96 << 20
)

// limitMemory collects garbage less often than Go would, up to a limit, where
// nobody says otherwise: it is a quarter of what a plan costs.
func limitMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(memoryLimit)
	}
}

// parentInterval is how often one looks whether Terraform is still there.
const parentInterval = time.Second

// outliveTerraform ends this process in order where Terraform was killed:
// nobody would tell it to end, and what it does would go on. A process whose
// parent died gets another one; Windows knows no such thing.
func outliveTerraform(vma *provider.Provider) {
	terraform := os.Getppid()
	for range time.Tick(parentInterval) {
		if os.Getppid() != terraform {
			break
		}
	}
	vma.Abandon(context.Background())
	_ = vma.Close(context.Background())
	os.Exit(1)
}
