package compile

import (
	"fmt"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// resolveCampaigns decides about SurveyCampaigns and puts them into the stores'
// documents. It comes after the Channels: a campaign is in force only if all
// Channels that it asks on are in its store's document.
func (c *compiler) resolveCampaigns() {
	for _, o := range sorted(c.Campaigns) {
		result := &BackendResult{}
		c.result.Campaigns[keyOf(o)] = result
		if !gone(o) {
			c.campaign(o, result)
		}
	}
}

// campaign decides about one SurveyCampaign. Half a measurement is none: with any
// finding the version before stays, if that still has all that it names, or else
// nothing. Suspending works in both cases.
func (c *compiler) campaign(o *v1alpha1.SurveyCampaign, result *BackendResult) {
	st, unresolved := c.routingStore(o.Namespace, "SurveyCampaigns", o.Spec.StoreRef)
	if unresolved != nil {
		result.Findings = append(c.withoutStore(o), *unresolved)
		return
	}
	result.Store = st.key
	name, spec := keyOf(o).String(), CampaignSpec(o)
	before := st.before.get(document.EntrySurveyCampaign, name)
	if before != nil && decodeSpec[survey.Campaign](before).UID != spec.UID {
		before = nil // of another object that had the name: it is gone, and asks nobody any more
	}
	started := o.Status.StartedAt != nil || before != nil
	refs, missing := c.campaignRefs(o, st, spec, started)
	result.Findings = append(missing, c.campaignFindings(st, c.opts.Programs.campaign(name, spec, refs), missing)...)
	switch {
	case len(result.Findings) == 0:
		st.add(document.EntrySurveyCampaign, name, o.Generation, spec)
	case before == nil:
		if end := o.Spec.Window.End.Time; end.After(c.now) {
			c.until(end) // then it is over before it began, and is told so
		}
		return
	default:
		spec = decodeSpec[survey.Campaign](before)
		spec.Suspended, result.LastGood = o.Spec.Suspend, true
		if refs, missing = c.campaignRefs(o, st, spec, started); len(missing) > 0 || len(c.opts.Programs.campaign(name, spec, refs)) > 0 {
			result.LastGood = false
			return
		}
		st.add(document.EntrySurveyCampaign, name, before.Generation, spec)
	}
	c.use(st, spec.Trigger.Schedule)
	entry := loadable(*st.last())
	result.Entry = &entry
}

// withoutStore is what is wrong with a campaign by itself, while nothing can be
// said of what it names.
func (c *compiler) withoutStore(o *v1alpha1.SurveyCampaign) []Finding {
	var own []Finding
	refs := survey.Refs{Now: c.now, Started: o.Status.StartedAt != nil}
	for _, f := range c.opts.Programs.campaign(keyOf(o).String(), CampaignSpec(o), refs) {
		if !f.Reason.Reference() {
			own = append(own, surveyFinding(f))
		}
	}
	return own
}

// campaignRefs are what a campaign names and may use in a store, and what is wrong
// with its Channels.
func (c *compiler) campaignRefs(o *v1alpha1.SurveyCampaign, st *storeState, spec survey.Campaign, started bool) (survey.Refs, []Finding) {
	refs := survey.Refs{
		Now: c.now, Started: started,
		Channels: map[string]survey.Channel{}, Schedules: map[string]*schedule.Schedule{}, Queues: map[string]bool{},
	}
	var missing []Finding
	for i, name := range spec.Channels {
		key := parseKey(name)
		if f := c.campaignChannel(o, st, fmt.Sprintf("spec.channelRefs[%d]", i), key); f != nil {
			missing = append(missing, *f)
			continue
		}
		platform := string(c.routing.channels[key].Spec.Platform)
		capabilities, _ := c.opts.Platforms(platform)
		refs.Channels[name] = survey.ChannelOf(platform, capabilities)
	}
	if name := spec.Trigger.Schedule; name != "" && c.scheduleThere(st, name) {
		refs.Schedules[name] = c.scheduleIn(st, name)
	}
	for _, a := range spec.Actions {
		if q := c.routing.queues[parseKey(a.Queue)]; q != nil && q.inForce && q.store == st {
			refs.Queues[a.Queue] = true
		}
	}
	return refs, missing
}

// scheduleIn is a Schedule as it is, or will be, in force in a store.
func (c *compiler) scheduleIn(st *storeState, name string) *schedule.Schedule {
	if state := c.routing.schedules[parseKey(name)]; state != nil && state.result.Schedule != nil && !state.schedule.Spec.Suspend {
		return state.result.Schedule
	}
	compiled, err := schedule.Compile(decodeSpec[schedule.Spec](st.before.get(document.EntrySchedule, name)))
	if err != nil {
		return nil // damaged by hand
	}
	return compiled
}

// campaignChannel is why a campaign cannot ask on a Channel. Across namespaces it
// is the same whether the Channel is not there or does not let the campaign in.
func (c *compiler) campaignChannel(o *v1alpha1.SurveyCampaign, st *storeState, field string, key Key) *Finding {
	t := target{field: field, kind: kindChannel, key: key, from: o.Namespace, allowing: "spec.allowedCampaigns", referrers: "SurveyCampaigns"}
	ch := c.routing.channels[key]
	if ch != nil {
		t.exists, t.permitted = true, c.allowsCampaign(ch, st, keyOf(o))
	}
	if f := t.check(false); f != nil {
		if f.Reason == v1alpha1.ReasonRefNotFound {
			f.Reason = v1alpha1.ReasonChannelNotFound
		}
		return f
	}
	there := c.routing.storeOf[key]
	switch {
	case there == nil:
		return missing(v1alpha1.ReasonChannelNotReady, field, fmt.Sprintf("Channel %s has no ConversationStore yet; see its conditions", key))
	case there != st:
		return missing(v1alpha1.ReasonStoreMismatch, field, fmt.Sprintf("Channel %s keeps its conversations in ConversationStore %s, and this campaign is of %s; name that one in spec.storeRef, or make a campaign for each", key, there.key, st.key))
	case !c.inDocument(st, key):
		return missing(v1alpha1.ReasonChannelNotReady, field, fmt.Sprintf("Channel %s is not served; see its conditions", key))
	}
	return nil
}

// inDocument says whether a Channel is in a store's document, to be asked on.
func (c *compiler) inDocument(st *storeState, channel Key) bool {
	r := c.result.Channels[channel]
	return r != nil && (r.Waits == st.key || r.Store == st.key && r.Entry != nil && !r.Tombstone())
}

// allowsCampaign says whether a Channel lets a campaign in.
func (c *compiler) allowsCampaign(ch *v1alpha1.Channel, st *storeState, campaign Key) bool {
	if len(ch.Spec.AllowedCampaigns) == 0 {
		return campaign.Namespace == ch.Namespace
	}
	for i := range ch.Spec.AllowedCampaigns {
		list := newAllowList(ch.Namespace, &ch.Spec.AllowedCampaigns[i].Namespaces)
		if c.permits(list, campaign.Namespace, list.err != nil && askedBefore(st, campaign, keyOf(ch))) {
			return true
		}
	}
	return false
}

// askedBefore says whether a campaign asks on a Channel in the document that is
// written.
func askedBefore(st *storeState, campaign, channel Key) bool {
	before := decodeSpec[survey.Campaign](st.before.get(document.EntrySurveyCampaign, campaign.String()))
	for _, name := range before.Channels {
		if name == channel.String() {
			return true
		}
	}
	return false
}

// campaignFindings are those of bridge/survey that are not told already, with why
// something was not found.
func (c *compiler) campaignFindings(st *storeState, found []survey.Finding, told []Finding) []Finding {
	known := map[string]bool{}
	for _, f := range told {
		known[f.Field] = true
	}
	var out []Finding
	for _, f := range found {
		finding := surveyFinding(f)
		if known[finding.Field] {
			continue
		}
		if f.Reason == survey.ReasonQueueNotFound {
			c.explainQueue(st, &finding, f)
		}
		out = append(out, finding)
	}
	return out
}

// explainQueue says why an AgentQueue was not found, where that is known.
func (c *compiler) explainQueue(st *storeState, finding *Finding, f survey.Finding) {
	_, rest, _ := strings.Cut(f.Message, `"`)
	name, _, _ := strings.Cut(rest, `"`)
	q := c.routing.queues[parseKey(name)]
	switch {
	case q == nil:
		return
	case q.store != nil && q.store != st:
		*finding = *missing(v1alpha1.ReasonStoreMismatch, finding.Field, fmt.Sprintf("AgentQueue %s belongs to ConversationStore %s and this campaign to %s; give both one store, with storeRef", name, q.store.key, st.key))
	default:
		*finding = *missing(v1alpha1.ReasonQueueNotFound, finding.Field, fmt.Sprintf("AgentQueue %s is there, but not in force; see its conditions", name))
	}
}

// surveyFields are the fields of a campaign that are called otherwise in the
// resource.
var surveyFields = strings.NewReplacer(
	".channels[", ".channelRefs[", "trigger.schedule", "trigger.scheduleRef", "suspended", "suspend", ".queue", ".queueRef",
)

// surveyFinding is a finding of bridge/survey on the resource.
func surveyFinding(f survey.Finding) Finding {
	field := "spec" + surveyFields.Replace("."+f.Field)
	if f.Field == "channels" || strings.HasSuffix(f.Field, ".channels") {
		field = strings.TrimSuffix(field, "channels") + "channelRefs"
	}
	switch f.Reason {
	case survey.ReasonInvalid:
		return *invalidSpec(field, f.Message)
	case survey.ReasonChannelCannotAsk: // nothing that may still arrive
		return *wrong(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonChannelCannotAsk, field, f.Message)
	}
	if f.Reason.Reference() {
		return *missing(string(f.Reason), field, f.Message)
	}
	return *wrong(v1alpha1.ConditionAccepted, string(f.Reason), field, f.Message)
}
