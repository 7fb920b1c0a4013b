package compile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// PolicyResult is a RoutingPolicy's part of a Result.
type PolicyResult struct {
	// Findings about the policy itself: its spec, and what it names, wherever
	// that is. Those of single Channels are with its Parents.
	Findings []Finding
	// Parents are the Channels that it names or chooses, by name.
	Parents []ParentResult
	// Rules is what became of each rule; nil while the spec is rejected.
	Rules []v1alpha1.RuleStatus
	// Hash of the policy with what its references resolve to, in whichever store. What
	// decisions name is the Hash of a Parent.
	Hash string
}

// Blocking is the first finding that keeps the policy from being Ready, or nil.
func (r *PolicyResult) Blocking() *Finding {
	if f := firstBlocking(r.Findings); f != nil {
		return f
	}
	for i := range r.Parents {
		if f := firstBlocking(r.Parents[i].Findings); f != nil {
			return f
		}
	}
	return nil
}

// ParentResult is how a policy stands with one Channel.
type ParentResult struct {
	Channel Key
	// Store behind it; zero while that is not known, or not to be told.
	Store Key
	// Refused says that the policy may not route this Channel, or that there is
	// none: the first of Findings says which.
	Refused  bool
	Findings []Finding
	// Conflict names another policy of the Channel with the same priority, and
	// what follows; empty: none has.
	Conflict string
	// Entries that the store's pods are to confirm: of the policy and its
	// webhooks; nil while the policy is not attached.
	Entries []Loadable
	// ChannelEntry says that the Channel has the policy; pods are to confirm it, too.
	ChannelEntry Loadable
	// LastGood says that a version before this one is in force there.
	LastGood bool
	// Hash of the version in force with what its references resolve to in this store,
	// as decisions name it; empty while the policy is not attached.
	Hash string
}

// attachment is a policy that is in force on a Channel.
type attachment struct {
	policy  *policyState
	parent  int // index in the policy's Parents
	program *routing.Program
}

// policyState is a RoutingPolicy in the making.
type policyState struct {
	key      Key
	resource *v1alpha1.RoutingPolicy
	policy   routing.Policy
	// rejected: the spec cannot be used in any store.
	rejected bool
	result   *PolicyResult
	// placed is what became of it in each store.
	placed map[*storeState]*placement
}

// placement is a policy in one store.
type placement struct {
	findings []Finding
	program  *routing.Program // in force; nil when none is
	entries  []Loadable       // of the policy and its webhooks
	lastGood bool
}

func (c *compiler) resolvePolicies() {
	for _, p := range sorted(c.Policies) {
		result := &PolicyResult{}
		c.result.Policies[keyOf(p)] = result
		if gone(p) {
			continue
		}
		state := &policyState{key: keyOf(p), resource: p, policy: PolicySpec(p), result: result, placed: map[*storeState]*placement{}}
		c.policySpec(state)
		c.attach(state)
	}
	c.orderPolicies()
}

// policySpec checks a policy by itself: against all that is there in its
// namespace, in whichever store.
func (c *compiler) policySpec(p *policyState) {
	refs := c.policyRefs(p.policy, nil)
	for _, w := range p.resource.Spec.Webhooks {
		refs.Webhooks[p.key.String()+"/"+w.Name] = true // each store says whether it has it
	}
	compiled := c.opts.Programs.compile(p.policy, refs)
	found := slices.Clone(compiled.found)
	c.explainMissing(nil, found)
	p.result.Findings = routingFindings("spec.", found)
	for _, f := range found {
		// What is missing here may be in force in a store, as it was.
		p.rejected = p.rejected || f.Effect == routing.EffectRejected && f.Reason != routing.ReasonBackendNotFound
	}
	if compiled.Program != nil {
		p.result.Rules, p.result.Hash = ruleStatuses(compiled.Program.Rules(), found), compiled.Hash()
	}
}

// ruleStatuses join what became of the rules with why.
func ruleStatuses(states []routing.RuleState, found []routing.Finding) []v1alpha1.RuleStatus {
	rules := make([]v1alpha1.RuleStatus, len(states))
	for i, s := range states {
		rules[i] = v1alpha1.RuleStatus{Name: s.Name, State: v1alpha1.RuleState(s.State), ShadowedBy: s.ShadowedBy}
		for _, f := range found {
			if f.Rule != s.Name {
				continue
			}
			if rules[i].Reason == "" {
				rules[i].Reason = routingFinding("spec.", f).Reason
				if f.Effect == routing.EffectNone {
					rules[i].Reason = string(f.Reason)
				}
			}
			rules[i].Message = clipped(strings.TrimPrefix(rules[i].Message+"; "+specField("spec.", f.Field)+": "+f.Message, "; "))
		}
	}
	return rules
}

// maxRuleMessage bounds what is told of one rule: 32 of them stand in a status.
const maxRuleMessage = 512

func clipped(message string) string {
	if len(message) <= maxRuleMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxRuleMessage-len("…")], "") + "…"
}

// policyRefs are those of the resources that a policy names which are in force
// in a store; nil: in any.
func (c *compiler) policyRefs(policy routing.Policy, st *storeState) routing.Refs {
	named := routing.AssumeRefs(policy)
	refs := routing.Refs{Queues: map[string]routing.QueueRef{}, Bots: map[string]bool{}, Webhooks: map[string]bool{}, Schedules: map[string]*schedule.Schedule{}}
	for name := range named.Queues {
		if q := c.routing.queues[parseKey(name)]; q != nil && q.inForce && (st == nil || q.store == st) {
			refs.Queues[name] = routing.QueueRef{Schedule: q.schedule}
		}
	}
	for name := range named.Bots {
		if b := c.routing.bots[parseKey(name)]; b != nil && b.inForce && (st == nil || b.store == st) {
			refs.Bots[name] = true
		}
	}
	for name := range named.Schedules {
		if c.scheduleThere(st, name) {
			refs.Schedules[name] = nil
		}
	}
	return refs
}

// explainMissing says of what was not found why, where that is known: it
// belongs to another store, or is not valid.
func (c *compiler) explainMissing(st *storeState, found []routing.Finding) {
	for i := range found {
		f := &found[i]
		if f.Reason != routing.ReasonBackendNotFound && f.Reason != routing.ReasonScheduleNotFound {
			continue
		}
		kind, name, ok := missingName(f.Message)
		if !ok {
			continue
		}
		why, mismatch := c.whyMissing(st, kind, parseKey(name))
		if why == "" {
			continue
		}
		f.Message = strings.Replace(f.Message, "not found", why, 1)
		if mismatch {
			f.Reason = routing.Reason(v1alpha1.ReasonStoreMismatch)
		}
	}
}

// missingName reads which resource a message of bridge/routing says was not found.
func missingName(message string) (kind, name string, ok bool) {
	_, err := fmt.Sscanf(message, "%s %q", &kind, &name)
	return kind, name, err == nil && strings.HasPrefix(message, fmt.Sprintf("%s %q not found", kind, name))
}

func (c *compiler) whyMissing(st *storeState, kind string, key Key) (why string, mismatch bool) {
	const invalid = "is there, but not in force; see its conditions"
	elsewhere := func(other *storeState) (string, bool) {
		if st == nil || other == nil || other == st {
			return invalid, false
		}
		return fmt.Sprintf("belongs to ConversationStore %s and the Channel to %s; give both one store, with storeRef", other.key, st.key), true
	}
	switch kind {
	case string(routing.BackendAgentQueue):
		if q := c.routing.queues[key]; q != nil {
			return elsewhere(q.store)
		}
	case string(routing.BackendBot):
		if b := c.routing.bots[key]; b != nil {
			return elsewhere(b.store)
		}
	case string(routing.BackendWebhook):
		if st != nil {
			return "cannot be asked", false
		}
	case "Schedule":
		if c.routing.schedules[key] != nil {
			return invalid, false
		}
	}
	return "", false
}

// place puts a policy into a store's document, once, and says what became of it.
func (c *compiler) place(p *policyState, st *storeState) *placement {
	if done := p.placed[st]; done != nil {
		return done
	}
	done := &placement{}
	p.placed[st] = done
	name, policy := p.key.String(), p.policy
	refs := c.policyRefs(policy, st)
	c.placeWebhooks(p, st, done, refs.Webhooks)
	compiled := c.opts.Programs.compile(policy, refs)
	found := slices.Clone(compiled.found)
	c.explainMissing(st, found)
	done.findings = append(c.storeFindings(p, found), done.findings...)
	if p.rejected || compiled.Program == nil || p.resource.Spec.Suspend {
		before := st.before.get(document.EntryRoutingPolicy, name)
		policy, done.lastGood = decodeSpec[routing.Policy](before), true
		refs = c.policyRefs(policy, st)
		for _, e := range done.entries {
			refs.Webhooks[e.Name] = true
		}
		// A version before whose default route is gone would put people into a queue
		// that nobody sees.
		if compiled = c.opts.Programs.compile(policy, refs); before == nil || compiled.Program == nil {
			return done
		}
		st.keep(document.EntryRoutingPolicy, name)
	} else {
		st.add(document.EntryRoutingPolicy, name, p.resource.Generation, policy)
	}
	done.program = compiled.Program
	done.entries = append(done.entries, loadable(*st.last()))
	c.use(st, sortedNames(routing.AssumeRefs(policy).Schedules)...)
	return done
}

// storeFindings are those that are not told of the policy itself already: what
// it names is elsewhere, or as it was.
func (c *compiler) storeFindings(p *policyState, found []routing.Finding) []Finding {
	var own []Finding
	for _, f := range routingFindings("spec.", found) {
		if f.Condition == v1alpha1.ConditionResolvedRefs && !slices.ContainsFunc(p.result.Findings, func(known Finding) bool { return known.Field == f.Field }) {
			own = append(own, f)
		}
	}
	return own
}

// placeWebhooks puts a policy's webhooks into a store's document, before the
// policy itself, and notes in refs which are there.
func (c *compiler) placeWebhooks(p *policyState, st *storeState, done *placement, refs map[string]bool) {
	if p.rejected || p.resource.Spec.Suspend {
		st.keepWebhooks(p, done, refs)
		return
	}
	for i, w := range p.resource.Spec.Webhooks {
		field, name := fmt.Sprintf("spec.webhooks[%d]", i), p.key.String()+"/"+w.Name
		if f := egressAllowed(field, st); f != nil {
			done.findings = append(done.findings, *f)
			continue
		}
		entry := st.before.get(document.EntryWebhook, name)
		var before *document.Webhook
		if entry != nil {
			spec := decodeSpec[document.Webhook](entry)
			before = &spec
		}
		hook, f := c.webhook(p.key.Namespace, field+".secretRef", w.WebhookEndpoint, before)
		if f != nil {
			done.findings = append(done.findings, *f)
		}
		switch {
		case hook == nil:
			continue
		case f != nil:
			st.keep(document.EntryWebhook, name)
		default:
			hook.IncludeText = w.IncludeText
			st.add(document.EntryWebhook, name, p.resource.Generation, hook)
		}
		refs[name] = true
		done.entries = append(done.entries, loadable(*st.last()))
	}
}

// keepWebhooks takes the webhooks of a policy over as they were, with the policy.
func (st *storeState) keepWebhooks(p *policyState, done *placement, refs map[string]bool) {
	if st.previous == nil {
		return
	}
	for _, e := range st.previous.Entries {
		if e.Kind == document.EntryWebhook && strings.HasPrefix(e.Name, p.key.String()+"/") {
			st.entries = append(st.entries, e)
			refs[e.Name] = true
			done.entries = append(done.entries, loadable(e))
		}
	}
}
