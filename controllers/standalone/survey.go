package standalone

import (
	"time"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// putCampaigns adds SurveyCampaigns with what an API server and the operator
// would have set on them.
func (w *world) putCampaigns(s *compile.Snapshot, campaigns []*v1alpha1.SurveyCampaign, now time.Time) {
	for _, o := range campaigns {
		o = o.DeepCopy()
		w.stamp("SurveyCampaign", o, o.Spec, now)
		kept := w.statuses[identityOf(o)].campaign
		o.Status = *kept.DeepCopy()
		s.Campaigns = append(s.Campaigns, o)
	}
}

// observeCampaigns makes the status of SurveyCampaigns and prints what changed.
func (r *runner) observeCampaigns(view func(compile.Key) conditions.StoreView, now time.Time) {
	w := r.world
	for _, o := range w.snapshot.Campaigns {
		result := w.result.Campaigns[keyOf(o)]
		status, _ := conditions.Campaign(conditions.CampaignInput{Campaign: o, Result: result, Store: view(result.Store), Now: now})
		r.tell(identityOf(o), result.Findings, o.Status.Conditions, status.Conditions)
		kept := w.statuses[identityOf(o)]
		kept.campaign = status
		w.statuses[identityOf(o)] = kept
		o.Status = status
	}
}

// campaign is a line of the summary.
func (p *report) campaign(o *v1alpha1.SurveyCampaign, r *compile.BackendResult, base string) {
	what := "not in force"
	if r.Entry != nil {
		what = base + "/v1/surveys/" + keyOf(o).String()
	}
	p.line("  Survey    %s   %s, until %s   %s", keyOf(o), o.Spec.Type, o.Spec.Window.End.UTC().Format(time.DateOnly), what)
}
