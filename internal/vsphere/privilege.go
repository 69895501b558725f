package vsphere

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"
)

// privilegesOn is a query for privileges on a VM; privileges is comma-separated, so that it can be a map key.
type privilegesOn struct{ moid, privileges string }

// MissingPrivileges returns the needed privileges that the account lacks; both maps are by managed object ID of the
// VM. It makes one call, plus one for each deleted VM. A query for a single VM shares the call with concurrent ones.
func (c *Client) MissingPrivileges(ctx context.Context, needed map[string][]string) (map[string][]string, error) {
	questions := make([]privilegesOn, 0, len(needed))
	for moid, privileges := range needed {
		questions = append(questions, privilegesOn{moid, strings.Join(privileges, ",")})
	}
	missing := map[string][]string{}
	if len(questions) == 1 {
		lacks, _, err := c.privileges.do(ctx, questions[0])
		missing[questions[0].moid] = lacks
		return missing, err
	}
	answers, err := c.missingPrivileges(ctx, questions)
	for err != nil && len(questions) > 1 {
		left := withoutGone(questions, err)
		if len(left) == len(questions) {
			break
		}
		questions = left
		answers, err = c.missingPrivileges(ctx, questions)
	}
	for question, a := range answers {
		missing[question.moid] = a.value
	}
	return missing, err
}

// withoutGone drops the VM that no longer exists according to err.
func withoutGone(questions []privilegesOn, err error) []privilegesOn {
	gone, ok := faultOf(err).(*types.ManagedObjectNotFound)
	if !ok {
		return questions
	}
	return slices.DeleteFunc(slices.Clone(questions), func(q privilegesOn) bool { return q.moid == gone.Obj.Value })
}

func (c *Client) missingPrivileges(ctx context.Context, questions []privilegesOn) (map[privilegesOn]answer[[]string], error) {
	req := &types.HasUserPrivilegeOnEntities{}
	for _, q := range questions {
		req.PrivId = append(req.PrivId, strings.Split(q.privileges, ",")...)
		if vm := vmRef(q.moid); !slices.Contains(req.Entities, vm) {
			req.Entities = append(req.Entities, vm)
		}
	}
	slices.Sort(req.PrivId)
	req.PrivId = slices.Compact(req.PrivId)
	granted := map[string][]string{}
	err := c.do(ctx, "check privileges", func(vim *vim25.Client) error {
		manager := vim.ServiceContent.AuthorizationManager
		if manager == nil {
			return errors.New("the server has no AuthorizationManager")
		}
		req.This, req.UserName = *manager, c.userName()
		res, err := methods.HasUserPrivilegeOnEntities(ctx, vim, req)
		if err != nil {
			return err
		}
		for _, entity := range res.Returnval {
			for _, privilege := range entity.PrivAvailability {
				if privilege.IsGranted {
					granted[entity.Entity.Value] = append(granted[entity.Entity.Value], privilege.PrivId)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	answers := map[privilegesOn]answer[[]string]{}
	for _, q := range questions {
		var missing []string
		for privilege := range strings.SplitSeq(q.privileges, ",") {
			if !slices.Contains(granted[q.moid], privilege) {
				missing = append(missing, privilege)
			}
		}
		answers[q] = answer[[]string]{value: missing}
	}
	return answers, nil
}
