package controllers

import (
	"time"

	"github.com/fluent-credential/operator/internal/custody"
	"github.com/fluent-credential/operator/internal/plan"
)

// scheduleOf returns the inputs of a token's refresh time: the lead in the spec, and the draw.
func scheduleOf(lead plan.LeadSpec, draw float64) *custody.Schedule {
	return &custody.Schedule{Before: lead.Before, Percent: lead.Percent, Draw: draw}
}

// refreshAt returns when the stored token is due. This is the time stored with it, unless the lead in spec.refresh has
// changed since: then the time follows from the new lead and the same draw. A token stored by an older version keeps
// its time.
func (o *observation) refreshAt() time.Time {
	stored, lead := o.record.Token, leadOf(o.cred.Spec.Refresh)
	made := stored.Schedule
	if made == nil || o.api == nil || made.Before == lead.Before && made.Percent == lead.Percent {
		return stored.Refresh
	}
	return plan.Renewal{
		Obtained: stored.Obtained, Expires: stored.Expires, Lead: lead, Draw: made.Draw,
		Stagnant: o.record.Stagnant, Repeats: o.record.Repeats,
		IdleLife: o.idleLife(o.record.Chain != nil), Window: o.api.RenewalWindow(stored.Grant),
	}.RefreshAt()
}
