// terraform-provider-vma is a Terraform provider that moves VMs off VMware with migratekit. It copies a disk
// only if changed block tracking (CBT) works.
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

	"github.com/vma-project/terraform-provider-vma/internal/progress"
	"github.com/vma-project/terraform-provider-vma/internal/provider"
)

// version is set by the release build.
var version = "dev"

func main() {
	if len(os.Args) > 1 && os.Args[1] == progress.Command {
		os.Exit(progress.Main(os.Args[2:]))
	}
	debugged := flag.Bool("debug", false, "serve for a debugger, and print how Terraform reaches this process")
	showVersion := flag.Bool("version", false, "print the version and exit")
	flag.Usage = func() {
		fmt.Fprintf(os.Stderr, "terraform-provider-vma is started by Terraform. It can also be called with:\n\n  %s [-once] [-json] [DIRECTORY]\n    \tshow the cycles of a log directory\n", progress.Command)
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unknown command %q\n", flag.Arg(0))
		flag.Usage()
		os.Exit(2)
	}
	if *showVersion {
		fmt.Println("terraform-provider-vma", version)
		return
	}
	if err := serve(*debugged); err != nil {
		log.Fatal(err)
	}
}

func serve(debugged bool) error {
	// Terraform handles a SIGTERM to the process group (a cancelled CI job) and stops its providers gracefully.
	// A SIGHUP (terminal closed) kills Terraform, and later writes to it raise SIGPIPE.
	// Catch these signals instead of ignoring them: child processes inherit ignored signals.
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
		go exitWithTerraform(vma)
	}
	err := tf6server.Serve("registry.terraform.io/vma-project/vma", vma.Server, options...)
	if logout := logOut(vma); err == nil {
		err = logout
	}
	return err
}

// farewellTimeout limits the logout: Terraform kills a provider two seconds after closing it.
const farewellTimeout = 1500 * time.Millisecond

func logOut(vma *provider.Provider) error {
	ctx, cancel := context.WithTimeout(context.Background(), farewellTimeout)
	defer cancel()
	return vma.Close(ctx)
}

// limitLogs sets the plugin log levels to the level that Terraform wants. Otherwise the framework writes a
// dozen lines for each call, and Terraform discards them.
func limitLogs() {
	level := cmp.Or(os.Getenv("TF_LOG_PROVIDER"), os.Getenv("TF_LOG"), "OFF")
	for _, name := range []string{"TF_LOG_SDK", "TF_LOG_SDK_FRAMEWORK", "TF_LOG_SDK_PROTO", "TF_LOG_PROVIDER_VMA"} {
		if _, own := os.LookupEnv(name); !own {
			_ = os.Setenv(name, level)
		}
	}
}

const (
	// gcPercent is high, because little of the memory that a call allocates outlives it.
	gcPercent = 400
	// memoryLimit is in bytes. Near it Go collects garbage more often, whatever gcPercent is.
	memoryLimit = 96 << 20
)

// limitMemory reduces GC, which is a quarter of the cost of a plan, unless the user has configured it.
func limitMemory() {
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(memoryLimit)
	}
}

// parentInterval is how often exitWithTerraform checks that Terraform still runs.
const parentInterval = time.Second

// exitWithTerraform shuts this process down cleanly if Terraform is killed. Otherwise its work would continue,
// since nothing else stops it. A process gets a new parent when its parent dies, except on Windows.
func exitWithTerraform(vma *provider.Provider) {
	terraform := os.Getppid()
	for range time.Tick(parentInterval) {
		if os.Getppid() != terraform {
			break
		}
	}
	vma.Shutdown(context.Background())
	_ = logOut(vma)
	os.Exit(1)
}
