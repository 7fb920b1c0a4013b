package conditions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// PolicyInput is what a RoutingPolicy's status is made of.
type PolicyInput struct {
	Policy *v1alpha1.RoutingPolicy
	Result *compile.PolicyResult
	// Stores of its parents.
	Stores map[compile.Key]StoreView
	Now    time.Time
}

// Policy makes a RoutingPolicy's status; recheck as in Channel.
func Policy(in PolicyInput) (status v1alpha1.RoutingPolicyStatus, recheck time.Duration) {
	p := in.Policy
	status = *p.Status.DeepCopy()
	status.ObservedGeneration = p.Generation
	v := &policyView{set: newSet(p.Status.Conditions, p.Generation, in.Now), in: in}
	if p.Spec.Suspend {
		v.suspended(keptAsItIs)
		status.Conditions = v.list()
		return status, 0
	}
	status.Hash, status.Rules = hashOf(in.Result), in.Result.Rules
	status.Channels, status.Parents = 0, nil
	var parents []*parentView
	for i := range in.Result.Parents {
		parent := v.parent(&in.Result.Parents[i])
		parents = append(parents, parent)
		if parent.in.Entries != nil {
			status.Channels++
		}
	}
	findings := v.allFindings()
	v.findings(findings)
	if dropped := of(findings, v1alpha1.ConditionPartiallyInvalid); len(dropped) > 0 {
		v.put(v1alpha1.ConditionPartiallyInvalid, metav1.ConditionTrue, dropped[0].Reason, join(dropped))
	}
	v.programmed(parents)
	v.conflicted(parents)
	v.looping()
	verdicts := []*verdict{v.blocking(findings)}
	for _, parent := range parents {
		verdicts = append(verdicts, parent.lacking)
	}
	v.conclude(v.done(parents), verdicts...)
	status.Parents = parentStatuses(parents)
	status.Conditions = v.list()
	return status, v.recheck
}

// hashOf is what decisions name the policy by: of what its Channels' stores have in
// force, where that is the same; empty where they resolve its references differently,
// as their parents tell. On no Channel it is of the policy as it would be.
func hashOf(r *compile.PolicyResult) string {
	hash := ""
	for _, p := range r.Parents {
		switch {
		case p.Hash == "" || p.Hash == hash:
		case hash == "":
			hash = p.Hash
		default:
			return ""
		}
	}
	return cmp.Or(hash, r.Hash)
}

// policyView is a policy's conditions in the making.
type policyView struct {
	*set
	in PolicyInput
}

// allFindings are the policy's own and those of its parents, each once: two
// Channels of one store have the same to say.
func (v *policyView) allFindings() []compile.Finding {
	findings := slices.Clone(v.in.Result.Findings)
	for _, parent := range v.in.Result.Parents {
		for _, f := range parent.Findings {
			if !slices.ContainsFunc(findings, func(known compile.Finding) bool { return known.Message == f.Message }) {
				findings = append(findings, f)
			}
		}
	}
	return findings
}

func (v *policyView) done(parents []*parentView) string {
	if len(parents) == 0 {
		return "is valid; it is attached to no Channel, so it routes nothing"
	}
	return "every serving pod of every store has loaded it, for all its Channels"
}

func (v *policyView) programmed(parents []*parentView) {
	const typ = v1alpha1.ConditionProgrammed
	var first *metav1.Condition
	programmed := 0
	for _, p := range parents {
		c := p.after[typ]
		if c.Status == metav1.ConditionTrue {
			programmed++
		} else if first == nil {
			first = &c
		}
	}
	switch {
	case len(parents) == 0:
		v.put(typ, metav1.ConditionFalse, v1alpha1.ReasonNotAttached, "no Channel is named in spec.parentRefs, or chosen by spec.channelSelector")
	case first == nil:
		v.put(typ, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "every serving pod of every store has loaded it, for all its Channels")
	case programmed > 0:
		v.put(typ, metav1.ConditionFalse, v1alpha1.ReasonPartiallyProgrammed, fmt.Sprintf("for %d of %d Channels: %s", programmed, len(parents), first.Message))
	default:
		v.put(typ, metav1.ConditionFalse, first.Reason, first.Message)
	}
}

func (v *policyView) conflicted(parents []*parentView) {
	for _, p := range parents {
		if p.in.Conflict != "" {
			v.put(v1alpha1.ConditionConflicted, metav1.ConditionTrue, v1alpha1.ReasonConflicted, fmt.Sprintf("on Channel %s: %s", p.in.Channel, p.in.Conflict))
			return
		}
	}
}

// looping says what the stores know of conversations that the policy moved in circles.
// As long as some pod has not been heard, what was known before stands.
func (v *policyView) looping() {
	const typ = v1alpha1.ConditionLooping
	key := document.Entry{Kind: document.EntryRoutingPolicy, Name: name(compile.Key{Namespace: v.in.Policy.Namespace, Name: v.in.Policy.Name})}.Key()
	heard := true
	for _, store := range slices.SortedFunc(maps.Keys(v.in.Stores), func(a, b compile.Key) int { return strings.Compare(a.String(), b.String()) }) {
		fleet := v.in.Stores[store].Fleet
		if t := fleet.EntryTrouble(key); t != nil {
			v.put(typ, metav1.ConditionTrue, t.Reason, fmt.Sprintf("in ConversationStore %s: %s", store, t.Message))
			return
		}
		heard = heard && fleet.Heard()
	}
	if !heard && v.wasStatus(typ) == metav1.ConditionTrue {
		v.keep(typ)
	}
}

// parentView is how a policy stands with one Channel, in the making.
type parentView struct {
	*set
	in    *compile.ParentResult
	store string
	// lacking is why it is not programmed, as far as pods are to say.
	lacking *verdict
}

func (v *policyView) parent(in *compile.ParentResult) *parentView {
	before := v.parentBefore(in.Channel)
	p := &parentView{set: newSet(before.Conditions, v.generation, v.now), in: in, store: name(in.Store)}
	own := v.in.Result.Findings
	switch rejected := of(own, v1alpha1.ConditionAccepted); {
	case in.Refused:
		p.put(v1alpha1.ConditionAccepted, metav1.ConditionFalse, in.Findings[0].Reason, in.Findings[0].Message)
		p.put(v1alpha1.ConditionResolvedRefs, metav1.ConditionUnknown, in.Findings[0].Reason, "is not looked at, since it is not accepted")
		p.put(v1alpha1.ConditionProgrammed, metav1.ConditionFalse, in.Findings[0].Reason, in.Findings[0].Message)
		return p
	case len(rejected) > 0:
		p.put(v1alpha1.ConditionAccepted, metav1.ConditionFalse, rejected[0].Reason, join(rejected))
	default:
		p.put(v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonAccepted, "the policy is valid, and the Channel lets it in")
	}
	p.judge(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonResolved, "everything that the policy names is there, in the Channel's store", append(of(own, v1alpha1.ConditionResolvedRefs), in.Findings...))
	p.programmed(v.in.Stores[in.Store], before.Store == p.store)
	if in.Conflict != "" {
		p.put(v1alpha1.ConditionConflicted, metav1.ConditionTrue, v1alpha1.ReasonConflicted, in.Conflict)
	}
	return p
}

// programmed: every serving pod has loaded the policy, its webhooks, and that
// the Channel has it. Once true it stays so for its generation and store,
// whatever a rollout or a lost node does; a refusal by all pods ends it.
func (p *parentView) programmed(store StoreView, sameStore bool) {
	const typ = v1alpha1.ConditionProgrammed
	if p.in.Entries == nil || p.in.LastGood {
		reason, message := v1alpha1.ReasonChannelNotReady, fmt.Sprintf("Channel %s is not served; see its conditions", p.in.Channel)
		for _, c := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs} {
			if cond := p.after[c]; cond.Status == metav1.ConditionFalse {
				reason, message = cond.Reason, cond.Message
				break
			}
		}
		if p.in.LastGood {
			message += "; the version before stays in force"
		}
		p.put(typ, metav1.ConditionFalse, reason, message)
		return
	}
	for _, e := range append([]compile.Loadable{p.in.ChannelEntry}, p.in.Entries...) {
		if lacking := store.lacks(e); lacking != nil && (p.lacking == nil || lacking.stalled && !p.lacking.stalled) {
			p.lacking = lacking
		}
	}
	old := p.was(typ)
	latched := sameStore && old != nil && old.Status == metav1.ConditionTrue && old.ObservedGeneration == p.generation
	if p.lacking != nil && (p.lacking.stalled || !latched) {
		p.put(typ, metav1.ConditionFalse, p.lacking.reason, p.lacking.message)
		return
	}
	p.lacking = nil
	p.put(typ, metav1.ConditionTrue, v1alpha1.ReasonProgrammed, "every serving pod of the store has loaded it")
}

func (v *policyView) parentBefore(channel compile.Key) v1alpha1.ParentStatus {
	for _, p := range v.in.Policy.Status.Parents {
		if p.ParentRef.Namespace == channel.Namespace && p.ParentRef.Name == channel.Name {
			return p
		}
	}
	return v1alpha1.ParentStatus{}
}

// parentStatuses are those that fit: the ones with something wrong first when
// they are too many, in the order of their names.
func parentStatuses(parents []*parentView) []v1alpha1.ParentStatus {
	if len(parents) > v1alpha1.MaxParentStatuses {
		slices.SortStableFunc(parents, func(a, b *parentView) int { return a.rank() - b.rank() })
		parents = parents[:v1alpha1.MaxParentStatuses]
	}
	var out []v1alpha1.ParentStatus
	for _, p := range parents {
		out = append(out, v1alpha1.ParentStatus{
			ParentRef: v1alpha1.ObjectReference{Namespace: p.in.Channel.Namespace, Name: p.in.Channel.Name},
			Store:     p.store, Hash: p.in.Hash, Conditions: p.list(),
		})
	}
	return out
}

// rank is 0 with something wrong, else 1.
func (p *parentView) rank() int {
	conditions := p.list()
	for _, typ := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs, v1alpha1.ConditionProgrammed} {
		if !meta.IsStatusConditionTrue(conditions, typ) {
			return 0
		}
	}
	if p.in.Conflict != "" {
		return 0
	}
	return 1
}
