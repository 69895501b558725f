package migratekit_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/migratekit"
)

var common = migratekit.Common{
	Program: "/usr/bin/migratekit",
	Source:  migratekit.Source{Endpoint: "vc:8989", Username: "u", Password: "p", Path: "/DC0/vm/web01"},
}

const sourceArgs = "--vmware-endpoint vc:8989 --vmware-username u --vmware-password p --vmware-path /DC0/vm/web01"

func TestNewOpenStackJob(t *testing.T) {
	t.Parallel()
	yes, no := true, false
	full := migratekit.OpenStack{
		AvailabilityZone: "nova", VolumeType: "ssd", DiskBusType: "scsi", OSType: "linux", EnableQemuGuestAgent: &yes,
		FlavorID: "f", SecurityGroupIDs: []string{"a", "b"}, RunV2V: &no,
		NetworkMappings: []migratekit.NetworkMapping{{MAC: "m1", NetworkID: "n1", SubnetID: "s1"}, {MAC: "m2", NetworkID: "n2", SubnetID: "s2", IP: "10.0.0.1"}},
	}
	cutover := full
	cutover.Cutover = true
	tests := map[string]struct {
		target migratekit.OpenStack
		want   string
	}{
		"nothing set": {migratekit.OpenStack{}, "migrate " + sourceArgs},
		"migrate knows no server": {full, "migrate " + sourceArgs +
			" --availability-zone nova --volume-type ssd --disk-bus-type scsi --os-type linux --enable-qemu-guest-agent=true"},
		"cutover": {cutover, "cutover " + sourceArgs +
			" --availability-zone nova --volume-type ssd --disk-bus-type scsi --os-type linux --enable-qemu-guest-agent=true" +
			" --flavor f --network-mapping mac=m1,network-id=n1,subnet-id=s1 --network-mapping mac=m2,network-id=n2,subnet-id=s2,ip=10.0.0.1" +
			" --security-groups a,b --run-v2v=false"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := migratekit.NewOpenStackJob(common, test.target)
			if got := strings.Join(job.Arguments(), " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNewNBDJob(t *testing.T) {
	t.Parallel()
	first := migratekit.Export{URI: "nbd://127.0.0.1:10808/web01-0", Name: "web01-0"}
	second := migratekit.Export{URI: "nbd://127.0.0.1:10808/web01-1", Name: "web01-1"}
	one := map[int32]migratekit.Export{2000: first}
	two := map[int32]migratekit.Export{2001: second, 2000: first}
	tests := map[string]struct {
		exports map[int32]migratekit.Export
		single  bool
		want    string
	}{
		"the only disk of a VM":   {one, true, "--nbd-export-name web01-0"},
		"one disk of several":     {one, false, "--nbd-targets 2000:nbd://127.0.0.1:10808/web01-0"},
		"several disks, in order": {two, false, "--nbd-targets 2000:nbd://127.0.0.1:10808/web01-0,2001:nbd://127.0.0.1:10808/web01-1"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job := migratekit.NewNBDJob(common, migratekit.NBD{
				Exports: test.exports, SingleDisk: test.single, JobID: "job-1", Port: "10808",
			})
			want := "migrate " + sourceArgs + " " + test.want + " --job-id job-1"
			if got := strings.Join(job.Arguments(), " "); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			env := map[string]string{
				"CLOUDSTACK_API_URL": "http://127.0.0.1:1/t", "MIGRATEKIT_JOB_ID": "job-1", "NBD_LOCAL_PORT": "10808",
				"CLOUDSTACK_API_KEY": "unused", "CLOUDSTACK_SECRET_KEY": "unused",
			}
			maps.Copy(job.Environment, migratekit.StoreEnvironment("http://127.0.0.1:1/t"))
			if !maps.Equal(job.Environment, env) {
				t.Errorf("environment %v", job.Environment)
			}
		})
	}
}

func TestNewNBDJobKeepsEnvironment(t *testing.T) {
	t.Parallel()
	c := common
	c.Environment = map[string]string{"CLOUDSTACK_API_KEY": "mine", "CLOUDSTACK_API_URL": "http://elsewhere", "EXTRA": "1"}
	c.ExtraArgs = []string{"--quiesce-snapshot=false"}
	job := migratekit.NewNBDJob(c, migratekit.NBD{
		Exports: map[int32]migratekit.Export{2000: {URI: "nbd://h/x", Name: "x"}},
	})
	if job.Environment["CLOUDSTACK_API_KEY"] != "mine" || job.Environment["EXTRA"] != "1" {
		t.Errorf("environment %v", job.Environment)
	}
	if job.Args[len(job.Args)-1].Value != "--quiesce-snapshot=false" {
		t.Errorf("arguments %v", job.Args)
	}
	if c.Environment["MIGRATEKIT_JOB_ID"] != "" {
		t.Error("the practitioner's map was written to")
	}
}

func TestSecretsOfTheEnvironment(t *testing.T) {
	t.Parallel()
	job := migratekit.NewOpenStackJob(migratekit.Common{Environment: map[string]string{
		"MY_PIN": "pin-4711", "HTTPS_PROXY": "http://user:hunter2@proxy:3128", "OS_REGION_NAME": "RegionOne", "OS_PASSWORD": "pw", "FLAG": "true",
	}}, migratekit.OpenStack{})
	const said = "pin-4711 hunter2 RegionOne pw true"
	if got := migratekit.NewRedactor(job, nil).Redact(said); got != "******** ******** RegionOne ******** true" {
		t.Errorf("got %q", got)
	}
}

// What migratekit accepts, and the forms that it does not.
func TestCheckOpenStack(t *testing.T) {
	t.Parallel()
	user := map[string]string{"OS_AUTH_URL": "u", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_DOMAIN_NAME": "d"}
	with := func(pairs ...string) map[string]string {
		env := maps.Clone(user)
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		maps.DeleteFunc(env, func(_, value string) bool { return value == "-" })
		return env
	}
	tests := map[string]struct {
		env         map[string]string
		missing     []string
		unsupported string // variable names
	}{
		"nothing":                      {nil, []string{"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_ID or OS_PROJECT_NAME"}, ""},
		"a project's ID":               {with("OS_PROJECT_ID", "p"), nil, ""},
		"a project's name":             {with("OS_PROJECT_NAME", "p"), nil, ""},
		"a tenant":                     {with("OS_TENANT_NAME", "p"), nil, ""},
		"a passcode":                   {with("OS_PROJECT_ID", "p", "OS_PASSWORD", "-", "OS_PASSCODE", "c"), nil, ""},
		"a system scope":               {with("OS_SYSTEM_SCOPE", "all"), nil, ""},
		"no domain":                    {with("OS_PROJECT_ID", "p", "OS_DOMAIN_NAME", "-"), []string{"OS_DOMAIN_NAME or OS_DOMAIN_ID"}, ""},
		"no project":                   {with(), []string{"OS_PROJECT_ID or OS_PROJECT_NAME"}, ""},
		"a user's ID":                  {with("OS_USERNAME", "-", "OS_USERID", "i", "OS_DOMAIN_NAME", "-", "OS_PROJECT_ID", "p"), nil, ""},
		"a user's ID and a domain":     {with("OS_USERID", "i", "OS_PROJECT_ID", "p"), nil, "OS_USERID"},
		"a user's ID, a project name":  {with("OS_USERID", "i", "OS_DOMAIN_NAME", "-", "OS_PROJECT_NAME", "p"), []string{"OS_PROJECT_ID"}, ""},
		"an application credential":    {map[string]string{"OS_AUTH_URL": "u", "OS_APPLICATION_CREDENTIAL_ID": "i", "OS_APPLICATION_CREDENTIAL_SECRET": "s"}, nil, ""},
		"one without its secret":       {map[string]string{"OS_AUTH_URL": "u", "OS_APPLICATION_CREDENTIAL_ID": "i"}, []string{"OS_APPLICATION_CREDENTIAL_SECRET"}, ""},
		"one by name":                  {with("OS_PASSWORD", "-", "OS_APPLICATION_CREDENTIAL_NAME", "n", "OS_APPLICATION_CREDENTIAL_SECRET", "s"), nil, ""},
		"one by name, without a user":  {map[string]string{"OS_AUTH_URL": "u", "OS_APPLICATION_CREDENTIAL_NAME": "n", "OS_APPLICATION_CREDENTIAL_SECRET": "s"}, []string{"OS_USERNAME"}, ""},
		"a password beside one":        {map[string]string{"OS_AUTH_URL": "u", "OS_APPLICATION_CREDENTIAL_ID": "i", "OS_APPLICATION_CREDENTIAL_SECRET": "s", "OS_PASSWORD": "p"}, []string{"OS_USERNAME", "OS_PROJECT_ID or OS_PROJECT_NAME"}, ""},
		"both domains":                 {with("OS_PROJECT_ID", "p", "OS_DOMAIN_ID", "d"), nil, "OS_DOMAIN_ID"},
		"the file that Horizon offers": {with("OS_PROJECT_ID", "p", "OS_DOMAIN_NAME", "-", "OS_USER_DOMAIN_NAME", "d", "OS_PROJECT_DOMAIN_ID", "d"), []string{"OS_DOMAIN_NAME or OS_DOMAIN_ID"}, "OS_USER_DOMAIN_NAME OS_PROJECT_DOMAIN_ID"},
		"OS_USER_ID":                   {with("OS_PROJECT_ID", "p", "OS_USERNAME", "-", "OS_USER_ID", "i"), []string{"OS_USERNAME"}, "OS_USER_ID"},
		"clouds.yaml":                  {map[string]string{"OS_CLOUD": "prod"}, []string{"OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_ID or OS_PROJECT_NAME"}, "OS_CLOUD"},
		"a token":                      {with("OS_PROJECT_ID", "p", "OS_PASSWORD", "-", "OS_TOKEN", "t"), []string{"OS_PASSWORD"}, "OS_TOKEN"},
		"a CA":                         {with("OS_PROJECT_ID", "p", "OS_CACERT", "/ca.pem"), nil, "OS_CACERT"},
		"a CA for Go":                  {with("OS_PROJECT_ID", "p", "OS_CACERT", "/ca.pem", "SSL_CERT_FILE", "/ca.pem"), nil, ""},
		"insecure":                     {with("OS_PROJECT_ID", "p", "OS_INSECURE", "true"), nil, ""},
		"insecure, spelled otherwise":  {with("OS_PROJECT_ID", "p", "OS_INSECURE", "1"), nil, "OS_INSECURE"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := migratekit.CheckOpenStack(func(name string) string { return test.env[name] })
			var named []string
			for _, text := range got.Unsupported {
				variable, _, _ := strings.Cut(text, " ")
				named = append(named, variable)
			}
			if !slices.Equal(got.Missing, test.missing) || strings.Join(named, " ") != test.unsupported {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestJobSurvivesJSON(t *testing.T) {
	t.Parallel()
	c := common
	c.Environment, c.StopGrace = map[string]string{"EXTRA": "1"}, time.Minute
	job := migratekit.NewNBDJob(c, migratekit.NBD{
		Exports: map[int32]migratekit.Export{2000: {URI: "nbd://127.0.0.1:10808/x", Name: "x"}}, JobID: "job-1", Port: "10808",
		KnownChangeIDs: map[int32]string{2000: "e/1", 2001: ""},
	})
	encoded, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	var decoded migratekit.Job
	if err := json.Unmarshal(encoded, &decoded); err != nil || !reflect.DeepEqual(decoded, job) {
		t.Errorf("got  %+v, %v\nwant %+v", decoded, err, job)
	}
	for _, arg := range decoded.Args {
		if arg.Secret != (arg.Value == "p") {
			t.Errorf("%q is marked as secret: %t", arg.Value, arg.Secret)
		}
	}
}

func TestReservedFlags(t *testing.T) {
	t.Parallel()
	yes := true
	c := common
	c.CompressionMethod = "zlib"
	exports := map[int32]migratekit.Export{2000: {URI: "nbd://127.0.0.1:10808/x", Name: "x"}}
	for _, job := range []migratekit.Job{
		migratekit.NewOpenStackJob(c, migratekit.OpenStack{
			AvailabilityZone: "z", VolumeType: "t", DiskBusType: "scsi", OSType: "linux", EnableQemuGuestAgent: &yes, Cutover: true,
			FlavorID: "f", NetworkMappings: []migratekit.NetworkMapping{{MAC: "m"}}, SecurityGroupIDs: []string{"s"}, RunV2V: &yes,
		}),
		migratekit.NewNBDJob(c, migratekit.NBD{Exports: exports, JobID: "j"}),
		migratekit.NewNBDJob(c, migratekit.NBD{Exports: exports, SingleDisk: true, JobID: "j"}),
	} {
		for _, arg := range job.Arguments() {
			flag, _, _ := strings.Cut(arg, "=")
			if strings.HasPrefix(flag, "--") && !migratekit.IsReservedFlag(flag) {
				t.Errorf("%s is not reserved", flag)
			}
		}
	}
	if migratekit.IsReservedFlag("--debug") {
		t.Error("--debug is reserved")
	}
}

// The job's own variables are no secrets.
func TestOwnVariablesAreNotRedacted(t *testing.T) {
	t.Parallel()
	c := common
	c.Source.Password = "s3cr3t!"
	job := migratekit.NewNBDJob(c, migratekit.NBD{
		Exports: map[int32]migratekit.Export{2000: {URI: "nbd://127.0.0.1:10808/x", Name: "x"}}, JobID: "vma-abcdefgh", Port: "10808",
	})
	const text = "job vma-abcdefgh at port 10808 has unused space"
	if got := migratekit.NewRedactor(job, nil).Redact(text); got != text {
		t.Errorf("got %q", got)
	}
}

// migratekit reads its path as a pattern.
func TestPathIsEscaped(t *testing.T) {
	t.Parallel()
	c := common
	c.Source.Path = `/DC0/vm/[ab]/web*?\01%2f`
	job := migratekit.NewOpenStackJob(c, migratekit.OpenStack{})
	if args := job.Arguments(); !slices.Contains(args, `/DC0/vm/\[ab\]/web\*\?\\01%2f`) {
		t.Errorf("arguments %q", args)
	}
}
