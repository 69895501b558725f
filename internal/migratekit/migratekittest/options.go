package migratekittest

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

type options struct {
	command                            string
	endpoint, username, password, path string
	exportName, targets, jobID         string
	runV2V                             bool
	valued                             map[string]string
	mappings                           []string
	keys                               map[int32]bool // of --nbd-targets
}

// valued and switches are the other flags of the two programs.
var (
	valued = []string{
		"compression-method", "availability-zone", "volume-type", "disk-bus-type", "os-type", "flavor",
		"security-groups",
	}
	switches = []string{"debug", "enable-qemu-guest-agent", "vz-unsafe-volume-by-name", "quiesce-snapshot"}
)

func parse(args []string) (options, error) {
	o := options{keys: map[int32]bool{}}
	if len(args) == 0 || !slices.Contains([]string{"migrate", "cutover"}, args[0]) {
		return o, fmt.Errorf("unknown command %q for %q", strings.Join(args[:min(1, len(args))], ""), Name)
	}
	o.command = args[0]
	flags := flag.NewFlagSet(Name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	required := map[string]*string{
		"vmware-endpoint": &o.endpoint, "vmware-username": &o.username,
		"vmware-password": &o.password, "vmware-path": &o.path,
	}
	for name, value := range required {
		flags.StringVar(value, name, "", "")
	}
	flags.StringVar(&o.exportName, "nbd-export-name", "", "")
	flags.StringVar(&o.targets, "nbd-targets", "", "")
	flags.StringVar(&o.jobID, "job-id", "", "")
	given := map[string]string{}
	for _, name := range valued {
		flags.Func(name, "", func(value string) error { given[name] = value; return nil })
	}
	for _, name := range switches {
		flags.Bool(name, false, "")
	}
	flags.BoolVar(&o.runV2V, "run-v2v", true, "")
	flags.Func("network-mapping", "", func(value string) error {
		given["network-mapping"], o.mappings = value, append(o.mappings, value)
		return nil
	})
	o.valued = given
	if err := flags.Parse(args[1:]); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	for name, value := range required {
		if *value == "" {
			return o, fmt.Errorf(`required flag(s) "%s" not set`, name)
		}
	}
	if o.command == "cutover" {
		for _, name := range []string{"flavor", "network-mapping", "availability-zone"} {
			if given[name] == "" {
				return o, fmt.Errorf(`required flag(s) "%s" not set`, name)
			}
		}
	}
	return o, o.parseTargets()
}

func (o *options) parseTargets() error {
	if o.targets == "" {
		return nil
	}
	for target := range strings.SplitSeq(o.targets, ",") {
		key, _, ok := strings.Cut(target, ":nbd://")
		n, err := strconv.ParseInt(key, 10, 32)
		if !ok || err != nil {
			return fmt.Errorf("invalid NBD target %q", target)
		}
		o.keys[int32(n)] = true
	}
	return nil
}

func (o *options) nbd() bool { return o.exportName != "" || o.targets != "" }

func (o *options) wants(key int32) bool { return o.exportName != "" || o.keys[key] }

// Invocation is one recorded run.
type Invocation struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
	// Directory is the working directory.
	Directory string `json:"directory"`
	// NoInput reports whether standard input was /dev/null.
	NoInput bool `json:"no_input"`
}

func record(args []string) error {
	path := os.Getenv(Record)
	if path == "" {
		return nil
	}
	invocation := Invocation{Args: args, Env: map[string]string{}}
	invocation.Directory, _ = os.Getwd()
	for _, pair := range os.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		invocation.Env[name] = value
	}
	input, err := os.Stdin.Stat()
	null, nullErr := os.Stat(os.DevNull)
	invocation.NoInput = err == nil && nullErr == nil && os.SameFile(input, null)
	line, err := json.Marshal(invocation)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = file.Write(append(line, '\n'))
	return err
}

// Invocations returns the recorded runs, none if the file does not exist.
func Invocations(path string) ([]Invocation, error) {
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []Invocation
	for line := range strings.Lines(string(content)) {
		var invocation Invocation
		if err := json.Unmarshal([]byte(line), &invocation); err != nil {
			return nil, err
		}
		all = append(all, invocation)
	}
	return all, nil
}
