package compile

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/bot"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// ScheduleSpec is a Schedule as the data plane knows it.
func ScheduleSpec(s *v1alpha1.Schedule) schedule.Spec {
	spec := schedule.Spec{TimeZone: s.Spec.TimeZone}
	for _, w := range s.Spec.Weekly {
		days := make([]schedule.Day, len(w.Days))
		for i, d := range w.Days {
			days[i] = schedule.Day(d)
		}
		spec.Weekly = append(spec.Weekly, schedule.Weekly{Days: days, From: w.From, To: w.To})
	}
	for _, e := range s.Spec.Exceptions {
		spec.Exceptions = append(spec.Exceptions, schedule.Exception{Date: e.Date, Closed: e.Closed, From: e.From, To: e.To, Name: e.Name})
	}
	for _, h := range s.Spec.HolidaySets {
		spec.HolidaySets = append(spec.HolidaySets, schedule.HolidaySet{Name: h.Name, Dates: h.Dates})
	}
	return spec
}

// QueueSpec is an AgentQueue as the data plane knows it.
func QueueSpec(q *v1alpha1.AgentQueue) routing.QueueSpec {
	s := q.Spec
	spec := routing.QueueSpec{Name: keyOf(q).String(), Strategy: routing.Strategy(s.Strategy)}
	if s.Selector != nil {
		spec.Selector = routing.Selector{Labels: pairs(s.Selector.Labels), Skills: skills(s.Selector.Skills)}
	}
	if s.Capacity != nil {
		spec.Capacity = queueCapacity(s.Capacity)
	}
	if o := s.Offer; o != nil {
		spec.Offer = routing.Offer{Mode: routing.OfferMode(o.Mode), Timeout: duration(o.Timeout, 0), AwayAfterMissed: int(o.AwayAfterMissed)}
	}
	if s.ScheduleRef != nil {
		spec.Schedule = within(q.Namespace, s.ScheduleRef.Name)
	}
	if l := s.Limits; l != nil {
		spec.Limits = routing.Limits{MaxDepth: int(l.MaxDepth), MaxWait: duration(l.MaxWait, 0), OnFull: routing.OnFull(l.OnFull)}
	}
	if s.PriorityBoostPerMinute != nil {
		boost := int(*s.PriorityBoostPerMinute)
		spec.PriorityBoostPerMinute = &boost
	}
	if o := s.OnOffline; o != nil {
		spec.OnOffline = routing.OnOffline{Action: routing.OnOfflineAction(o.Action), Grace: duration(o.Grace, 0)}
	}
	return spec
}

func queueCapacity(c *v1alpha1.QueueCapacity) routing.Capacity {
	capacity := routing.Capacity{Units: int(c.Units), IdleAfter: duration(c.IdleAfter, 0), IdleUnits: int(c.IdleUnits)}
	if c.MaxNew != nil {
		capacity.MaxNew = routing.MaxNew{Count: int(c.MaxNew.Count), Window: document.Duration(c.MaxNew.Window.Duration)}
	}
	if c.Costs == nil {
		return capacity
	}
	costs := map[routing.ChannelClass]int{}
	for class, cost := range map[routing.ChannelClass]*int32{routing.ClassVoice: c.Costs.Voice, routing.ClassChat: c.Costs.Chat, routing.ClassMail: c.Costs.Mail} {
		if cost != nil {
			costs[class] = int(*cost)
		}
	}
	if len(costs) > 0 {
		capacity.Costs = costs
	}
	return capacity
}

// BotSpec is a built-in Bot as the data plane knows it.
func BotSpec(b *v1alpha1.Bot) bot.Spec {
	in := b.Spec.BuiltIn
	spec := bot.Spec{
		Name: keyOf(b).String(), DefaultLanguage: in.DefaultLanguage, Greeting: texts(in.Greeting), Fallback: texts(in.Fallback),
		Handover: bot.Handover{Keywords: words(in.Handover.Keywords), Text: texts(in.Handover.Text), MaxTurns: int(in.Handover.MaxTurns), MaxMisses: int(in.Handover.MaxMisses)},
	}
	for _, m := range in.Menus {
		menu := bot.Menu{Name: m.Name, Text: texts(m.Text)}
		for _, o := range m.Options {
			menu.Options = append(menu.Options, bot.Option{Name: o.Name, Title: texts(o.Title), Keywords: words(o.Keywords), Then: botAction(o.Then)})
		}
		spec.Menus = append(spec.Menus, menu)
	}
	for _, a := range in.Answers {
		spec.Answers = append(spec.Answers, bot.Answer{Name: a.Name, Keywords: words(a.Keywords), Pattern: a.Pattern, Then: botAction(a.Then)})
	}
	return spec
}

func botAction(a v1alpha1.BotAction) bot.Action {
	return bot.Action{Text: texts(a.Text), Menu: a.Menu, Handover: a.Handover, Topics: a.Topics}
}

// PolicySpec is a RoutingPolicy as the data plane knows it, with every name as
// "namespace/name" ("namespace/policy/webhook" of a webhook).
func PolicySpec(p *v1alpha1.RoutingPolicy) routing.Policy {
	c := policyConverter{namespace: p.Namespace, policy: keyOf(p).String()}
	s := p.Spec
	policy := routing.Policy{
		Name: c.policy, Priority: int(s.Priority), Mode: routing.Mode(s.Mode), DefaultLanguage: s.DefaultLanguage,
		DefaultRoute: &routing.Route{BackendRefs: c.backends(s.DefaultRoute.BackendRefs), Skills: c.skills(s.DefaultRoute.Skills)},
		Greeting:     c.reply(s.Greeting), AutoReply: c.reply(s.AutoReply),
	}
	if s.Split != nil {
		policy.Split = routing.Split{Unit: routing.Unit(s.Split.Unit), Seed: s.Split.Seed}
	}
	if s.Reopen != nil {
		policy.Reopen = routing.Reopen{Reroute: routing.Reroute(s.Reopen.Reroute), Within: duration(s.Reopen.Within, 0)}
	}
	if h := s.OutOfHours; h != nil {
		policy.OutOfHours = &routing.OutOfHours{Action: routing.OutOfHoursAction(h.Action), Away: c.reply(h.Away), Schedule: c.local(h.ScheduleRef), Bot: c.local(h.BotRef)}
	}
	for _, r := range s.Rules {
		policy.Rules = append(policy.Rules, c.rule(r))
	}
	return policy
}

type policyConverter struct{ namespace, policy string }

func (c policyConverter) local(ref *v1alpha1.LocalReference) string {
	if ref == nil {
		return ""
	}
	return within(c.namespace, ref.Name)
}

func (c policyConverter) rule(r v1alpha1.RoutingRule) routing.Rule {
	rule := routing.Rule{Name: r.Name, OnExhausted: routing.OnExhausted(r.OnExhausted)}
	if r.Set != nil {
		rule.Set = routing.Set{Priority: routing.Priority(r.Set.Priority), Labels: pairs(r.Set.Labels)}
	}
	for _, m := range r.Matches {
		rule.Matches = append(rule.Matches, c.match(m))
	}
	for _, s := range r.Steps {
		rule.Steps = append(rule.Steps, c.step(s))
	}
	return rule
}

func (c policyConverter) match(m v1alpha1.RoutingMatch) routing.Match {
	match := routing.Match{Languages: m.Languages, Topics: m.Topics, Labels: pairs(m.Labels), Attributes: pairs(m.Attributes), Expression: m.Expression}
	if m.Schedule != nil {
		match.Schedule = &routing.ScheduleMatch{Name: within(c.namespace, m.Schedule.Name), Is: routing.ScheduleState(m.Schedule.Is)}
	}
	if m.Text != nil {
		match.Text = &routing.TextMatch{Any: plain(m.Text.Any), All: plain(m.Text.All), None: plain(m.Text.None)}
	}
	if m.SinceLastContact != nil {
		match.SinceLastContact = &routing.SinceMatch{AtLeast: duration(m.SinceLastContact.AtLeast, 0), LessThan: duration(m.SinceLastContact.LessThan, 0)}
	}
	return match
}

func (c policyConverter) step(s v1alpha1.RoutingStep) routing.Step {
	step := routing.Step{
		Name: s.Name, BackendRefs: c.backends(s.BackendRefs), Skills: c.skills(s.Skills),
		Timeout: duration(s.Timeout, 0), Clock: routing.Clock(s.Clock), Next: s.Next,
	}
	if s.Sticky != nil {
		step.Sticky = &routing.Sticky{MaxAge: duration(s.Sticky.MaxAge, 0), Require: routing.StickyRequire(s.Sticky.Require)}
	}
	if k := s.SkipIf; k != nil {
		step.SkipIf = &routing.SkipIf{OnlineBelow: int(k.OnlineBelow), AvailableBelow: int(k.AvailableBelow), DepthAbove: number(k.DepthAbove), OldestWaitAbove: duration(k.OldestWaitAbove, 0)}
	}
	return step
}

func (c policyConverter) backends(refs []v1alpha1.BackendRef) []routing.BackendRef {
	out := make([]routing.BackendRef, 0, len(refs))
	for _, r := range refs {
		name := within(c.namespace, r.Name)
		if r.Kind == v1alpha1.BackendWebhook {
			name = c.policy + "/" + r.Name
		}
		out = append(out, routing.BackendRef{Kind: routing.BackendKind(r.Kind), Name: name, Weight: number(r.Weight)})
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func (c policyConverter) skills(s *v1alpha1.RoutingSkills) routing.Skills {
	if s == nil {
		return routing.Skills{}
	}
	out := routing.Skills{Required: skills(s.Required)}
	for _, p := range s.Preferred {
		out.Preferred = append(out.Preferred, routing.PreferredSkill{Name: p.Name, MinLevel: int(p.MinLevel), DropAfter: duration(p.DropAfter, 0)})
	}
	return out
}

func (c policyConverter) reply(r *v1alpha1.PolicyReply) *routing.Reply {
	if r == nil {
		return nil
	}
	return &routing.Reply{Texts: texts(r.Texts), OncePer: duration(r.OncePer, 0)}
}

// within is the name of a resource in documents.
func within(namespace, name string) string { return namespace + "/" + name }

func number(n *int32) *int {
	if n == nil {
		return nil
	}
	wide := int(*n)
	return &wide
}

func skills(in []v1alpha1.RequiredSkill) []routing.Skill {
	var out []routing.Skill
	for _, s := range in {
		out = append(out, routing.Skill{Name: s.Name, MinLevel: int(s.MinLevel)})
	}
	return out
}

func pairs(in v1alpha1.Pairs) map[string]string { return stringValues(in) }

func texts(in v1alpha1.Texts) map[string]string { return stringValues(in) }

func stringValues[V ~string](in map[string]V) map[string]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		out[k] = string(v)
	}
	return out
}

func words(in v1alpha1.Words) map[string][]string {
	if len(in) == 0 {
		return nil
	}
	out := make(map[string][]string, len(in))
	for language, list := range in {
		out[language] = plain(list)
	}
	return out
}

func plain[S ~[]E, E ~string](in S) []string {
	var out []string
	for _, s := range in {
		out = append(out, string(s))
	}
	return out
}

// decodeSpec reads the spec of an entry that was written before; the zero value
// where it was damaged by hand.
func decodeSpec[T any](e *document.Entry) (spec T) {
	if e != nil {
		_ = json.Unmarshal(e.Spec, &spec) // as if it had not been there
	}
	return spec
}

// gone says whether an object is on its way out: nobody holds it back, so what
// is left of it is no more than what is missing.
func gone(o metav1.Object) bool { return !o.GetDeletionTimestamp().IsZero() }
