package cbt_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vma-project/terraform-provider-vma/internal/cbt"
	"github.com/vma-project/terraform-provider-vma/internal/vsphere/vspheretest"
)

// rounds is how many seeds a randomized test tries; make chaos tries more.
func rounds(t *testing.T, few int) uint64 {
	t.Helper()
	n, err := strconv.Atoi(os.Getenv("CHAOS"))
	if err != nil {
		n = 1
	}
	return uint64(few * n)
}

// methods are the calls that Ensure makes; "" is any.
var methods = []string{
	"", "", "", "RetrieveServiceContent", "Login", "RetrievePropertiesEx", "HasUserPrivilegeOnEntities", "ReconfigVM_Task",
	"CreateSnapshot_Task", "RemoveSnapshot_Task", "CreateFilter", "CreateListView", "WaitForUpdatesEx", "QueryChangedDiskAreas",
}

// hostile returns an answer that no vCenter gives.
func hostile(random *rand.Rand) string {
	envelope := func(body string) string {
		return `<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Body>` + body + `</soapenv:Body></soapenv:Envelope>`
	}
	method := methods[3+random.IntN(len(methods)-3)]
	switch random.IntN(8) {
	case 0:
		return envelope("")
	case 1: // the answer to another method, which names nothing that exists
		return envelope(fmt.Sprintf(`<%sResponse xmlns="urn:vim25"><returnval type="Task">task-%d</returnval></%[1]sResponse>`, method, random.IntN(1000)))
	case 2:
		return envelope(fmt.Sprintf(`<%sResponse xmlns="urn:vim25"><returnval/></%[1]sResponse>`, method))
	case 3:
		return envelope(`<soapenv:Fault><faultcode>x</faultcode><faultstring>` + "\x1b[2J" + `</faultstring></soapenv:Fault>`)
	case 4: // cut off
		return envelope(`<` + method + `Response xmlns="urn:vim25"><returnval type="Task">task-1`)[:90+random.IntN(60)]
	case 5:
		return "<html><body><h1>Bad Gateway</h1></body></html>"
	case 6:
		return strings.Repeat("<a>", 1+random.IntN(5000))
	}
	noise := make([]byte, random.IntN(4096))
	for i := range noise {
		noise[i] = byte(random.UintN(256))
	}
	return string(noise)
}

// A vCenter that answers nonsense makes Ensure fail, not crash or hang, and the next Ensure repairs what is left.
func TestEnsureSurvivesAHostileServer(t *testing.T) {
	t.Parallel()
	vcenter, _ := start(t)
	failed := 0
	for seed := range rounds(t, 40) {
		random := rand.New(rand.NewPCG(seed, 1))
		vm := addVM(t, vcenter, vspheretest.Spec{Path: fmt.Sprintf("/DC0/vm/vm%d", seed)})
		manager, closeClient := connected(t, vcenter)
		var answers []*vspheretest.Interceptor
		for range 1 + random.IntN(3) {
			answers = append(answers, vcenter.Answer(methods[random.IntN(len(methods))], random.IntN(8), 1+random.IntN(2), hostile(random)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := manager.Ensure(ctx, vm.Moid(), cbt.Options{})
		if cancel(); err != nil {
			failed++
		}
		for _, answer := range answers {
			answer.Release()
		}
		if status, err := manager.Ensure(t.Context(), vm.Moid(), cbt.Options{}); err != nil || !status.Initialized() {
			t.Errorf("seed %d: the second Ensure: %v", seed, err)
		}
		if names := vm.Snapshots(); len(names) > 0 {
			t.Errorf("seed %d: snapshots %v are left", seed, names)
		}
		closeClient()
	}
	if failed == 0 {
		t.Error("no answer made Ensure fail")
	}
}
