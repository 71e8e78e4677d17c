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

// refreshAt returns when the stored token is due. It is the moment that was stored with it, unless spec.refresh asks for another lead or
// for a shorter life since: then it is what these would have made of the same draw. A token that an older version stored keeps its moment.
func (o *observation) refreshAt() time.Time {
	stored, lead := o.record.Token, leadOf(o.cred.Spec.Refresh)
	made := stored.Schedule
	expires := stored.Expires
	if most := o.cred.Spec.Refresh.MaximumLifetime; most != nil && expires.After(stored.Obtained.Add(most.Duration)) {
		expires = stored.Obtained.Add(most.Duration)
	}
	isAsMade := made != nil && made.Before == lead.Before && made.Percent == lead.Percent && expires.Equal(stored.Expires)
	if made == nil || o.api == nil || isAsMade {
		return stored.Refresh
	}
	return plan.Renewal{
		Obtained: stored.Obtained, Expires: expires, Lead: lead, Draw: made.Draw,
		Stagnant: o.record.Stagnant, Repeats: o.record.Repeats,
		IdleLife: o.idleLife(o.record.Chain != nil), Window: o.api.RenewalWindow(stored.Grant),
	}.RefreshAt()
}
