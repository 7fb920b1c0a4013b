package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"
)

var egressRules = []rule{
	{covers: "spec.egress.cidrs maxItems", field: "spec.egress.cidrs", bad: many(65, network), good: many(64, network), want: tooMany},
	{covers: "spec.egress.cidrs list", field: "spec.egress.cidrs", bad: list{network(1), network(1)}, good: list{network(1)}, want: duplicate},
	{covers: "spec.egress.cidrs[] maxLength", field: "spec.egress.cidrs", bad: list{letters(50)}, want: "Too long"},
	{covers: "spec.egress.cidrs[] rule: " + cidr, field: "spec.egress.cidrs", bad: list{"203.0.113.7"}, good: list{"203.0.113.7/32"}, want: cidr},
	{covers: "spec.egress.cidrs[] rule: " + cidr, field: "spec.egress.cidrs", bad: list{"203.0.113.7/24"}, good: list{"2001:db8::/32"}, want: cidr},
}

// allowed is one usable entry of allowedPolicies with some fields replaced.
func allowed(changed fields) list {
	return list{fields{"namespaces": fields{"from": "All"}}.and(changed)}
}

var allowedPoliciesRules = concat(inAllowed("allowedPolicies", allowList("namespaces")), inAllowed("allowedCampaigns", allowList("namespaces")), []rule{
	{covers: "spec.allowedCampaigns minItems", field: "spec.allowedCampaigns", bad: list{}, good: allowed(nil), want: tooFew},
	{covers: "spec.allowedCampaigns maxItems", field: "spec.allowedCampaigns", bad: many(17, anyAllowed), good: many(16, anyAllowed), want: tooMany},
	{covers: "spec.allowedCampaigns[] required namespaces", field: "spec.allowedCampaigns", bad: list{fields{}}, good: allowed(nil), want: required},
	{covers: "spec.allowedPolicies minItems", field: "spec.allowedPolicies", bad: list{}, good: allowed(nil), want: tooFew},
	{covers: "spec.allowedPolicies maxItems", field: "spec.allowedPolicies", bad: many(17, anyAllowed), good: many(16, anyAllowed), want: tooMany},
	{covers: "spec.allowedPolicies[] required namespaces", field: "spec.allowedPolicies", bad: list{fields{"maxPriority": 1}}, good: allowed(fields{"maxPriority": 1}), want: required},
	{covers: "spec.allowedPolicies[].maxPriority minimum", field: "spec.allowedPolicies", bad: allowed(fields{"maxPriority": -1}), good: allowed(fields{"maxPriority": 0}), want: atLeast},
	{covers: "spec.allowedPolicies[].maxPriority maximum", field: "spec.allowedPolicies", bad: allowed(fields{"maxPriority": 1001}), good: allowed(fields{"maxPriority": 1000}), want: atMost},
	{covers: "status.policies maxItems", field: "status.policies", bad: many(33, numbered), good: many(32, numbered), want: tooMany},
	{covers: "status.policies list", field: "status.policies", bad: list{"a/b", "a/b"}, good: list{"a/b", "a/c"}, want: duplicate},
})

func anyAllowed(int) any { return allowed(nil)[0] }

// inAllowed are the rows of an allow-list where it stands in a list.
func inAllowed(field string, rows []rule) []rule {
	for i, r := range rows {
		within := func(v any) any { return list{fields{"namespaces": v}} }
		rows[i] = rule{covers: "spec." + field + "[]." + r.covers, field: "spec." + field, bad: within(r.bad), good: within(r.good), want: strings.TrimPrefix(r.want, "namespaces.from: ")}
	}
	return rows
}

const routingName = "metadata.name must be at most 63 lower-case letters, digits and dashes: it stands in metrics and in the REST API"

func nameOf63() []rule {
	return []rule{
		{covers: "name", field: "metadata.name", bad: letters(64), good: letters(63), want: routingName},
		{covers: "name", field: "metadata.name", bad: "a.b", good: "1-b", want: routingName},
	}
}

// The rules of routing's kinds that say more than a bound: what breaks one must
// not get into etcd, for the operator could not read it, or would have to guess.
var (
	scheduleRules = concat(nameOf63(), []rule{
		{covers: "timeZone", field: "spec.timeZone", bad: nil, good: "Europe/Berlin", want: required},
		{covers: "weekly day", field: "spec.weekly", bad: weekly(fields{"days": list{"Monday"}}), good: weekly(nil), want: enum},
		{covers: "weekly no days", field: "spec.weekly", bad: weekly(fields{"days": list{}}), want: tooFew},
		{covers: "weekly from", field: "spec.weekly", bad: weekly(fields{"from": "24:00"}), good: weekly(fields{"from": "00:00"}), want: pattern},
		{covers: "weekly to", field: "spec.weekly", bad: weekly(fields{"to": "9:00"}), good: weekly(fields{"to": "24:00"}), want: pattern},
		{covers: "exception date", field: "spec.exceptions", bad: list{fields{"date": "24.12.2026", "closed": true}}, good: list{fields{"date": "2026-12-24", "closed": true}}, want: pattern},
		{covers: "exception both", field: "spec.exceptions", bad: list{fields{"date": "2026-12-24", "closed": true, "from": "10:00", "to": "11:00"}}, want: "write closed: true, or from and to"},
		{covers: "exception half", field: "spec.exceptions", bad: list{fields{"date": "2026-12-24", "from": "10:00"}}, good: list{fields{"date": "2026-12-24", "from": "10:00", "to": "11:00"}}, want: "write closed: true, or from and to"},
		{covers: "holiday sets", field: "spec.holidaySets", bad: list{holidays("a"), holidays("a")}, good: list{holidays("a"), holidays("b")}, want: duplicate},
	})
	agentQueueRules = concat(nameOf63(), reference("spec.storeRef"), durations("spec.capacity.idleAfter"), durations("spec.offer.timeout"),
		durations("spec.limits.maxWait"), durations("spec.onOffline.grace"),
		bounds("spec.priorityBoostPerMinute", 0, 1000000), bounds("spec.limits.maxDepth", 1, 1000000), bounds("spec.capacity.units", 1, 1000000), []rule{
			{covers: "strategy", field: "spec.strategy", bad: "Random", good: "RoundRobin", want: enum},
			{covers: "mode", field: "spec.offer.mode", bad: "Ask", good: "Assign", want: enum},
			{covers: "onFull", field: "spec.limits.onFull", bad: "Drop", good: "Hold", want: enum},
			{covers: "onOffline", field: "spec.onOffline.action", bad: "Drop", good: "RequeueAll", want: enum},
			{covers: "window", field: "spec.capacity.maxNew", bad: fields{"count": 1, "window": "0s"}, good: fields{"count": 1, "window": "1h"}, want: "more than nothing"},
			{covers: "labels", field: "spec.selector.labels", bad: annotations(65), good: annotations(64), want: "must have at most"},
			{covers: "skills", field: "spec.selector.skills", bad: list{fields{"name": "fr"}, fields{"name": "fr"}}, good: list{fields{"name": "fr", "minLevel": 100}}, want: duplicate},
		})
	botRules = concat(nameOf63(), []rule{
		{covers: "union: neither", field: "spec.webhook", bad: nil, want: "write builtIn or webhook, and not both"},
		{covers: "union: both", field: "spec.builtIn", bad: builtIn, want: "write builtIn or webhook, and not both"},
		{covers: "url", field: "spec.webhook.url", bad: "bot.example.com", good: "http://bot.shop:8080/turns", want: "url must be like"},
		{covers: "url scheme", field: "spec.webhook.url", bad: "ftp://bot.example.com/", want: "url must be like"},
		{covers: "url password", field: "spec.webhook.url", bad: "https://me:secret@bot.example.com/", want: "url must not have a user name"},
		{covers: "timeout", field: "spec.webhook.timeout", bad: "31s", good: "30s", want: "at most 30s"},
		{covers: "timeout", field: "spec.webhook.timeout", bad: "0s", good: "500ms", want: "at most 30s"},
		{covers: "secretRef", field: "spec.webhook.secretRef", bad: nil, good: fields{"name": "b"}, want: required},
		{covers: "fallback", field: "spec", bad: fields{"builtIn": builtIn.and(fields{"fallback": nil})}, good: fields{"builtIn": builtIn}, want: "fallback"},
		{covers: "no option", field: "spec", bad: fields{"builtIn": builtIn.and(fields{"menus": list{fields{"name": "m", "text": fields{"en": "x"}, "options": list{}}}})}, want: tooFew},
		{covers: "text", field: "spec", bad: fields{"builtIn": builtIn.and(fields{"greeting": fields{"en": letters(4097)}})}, good: fields{"builtIn": builtIn.and(fields{"greeting": fields{"en": letters(4096)}})}, want: "Too long"},
	})
	policyRules = concat(selectorRules("channelSelector", "spec.channelSelector", func(selector any) any { return selector }), nameOf63(), bounds("spec.priority", 0, 1000), durations("spec.reopen.within"), []rule{
		{covers: "default route", field: "spec.defaultRoute", bad: nil, want: required},
		{covers: "default route of nothing", field: "spec.defaultRoute.backendRefs", bad: list{}, want: tooFew},
		{covers: "default route to a bot", field: "spec.defaultRoute.backendRefs", bad: list{fields{"kind": "Bot", "name": "b"}}, want: "the default route takes AgentQueues only"},
		{covers: "mode", field: "spec.mode", bad: "Off", good: "Shadow", want: enum},
		{covers: "rules", field: "spec.rules", bad: many(33, oneRule), good: many(32, oneRule), want: tooMany},
		{covers: "rule names", field: "spec.rules", bad: list{oneRule(1), oneRule(1)}, good: list{oneRule(1), oneRule(2)}, want: duplicate},
		{covers: "rule default", field: "spec.rules", bad: list{oneRule(1).(fields).and(fields{"name": "default"})}, want: "name must not be default"},
		{covers: "no steps", field: "spec.rules", bad: withSteps(), good: withSteps(queueStep), want: tooFew},
		{covers: "a step of nothing", field: "spec.rules", bad: withSteps(fields{"name": "s"}), good: withSteps(fields{"name": "s", "sticky": fields{}}), want: "write backendRefs"},
		{covers: "step names", field: "spec.rules", bad: withSteps(queueStep, queueStep), want: duplicate},
		{covers: "weight", field: "spec.rules", bad: withSteps(weighted(-1)), good: withSteps(weighted(0)), want: atLeast},
		{covers: "weight", field: "spec.rules", bad: withSteps(weighted(1000001)), good: withSteps(weighted(1000000)), want: atMost},
		{covers: "backend kind", field: "spec.rules", bad: withSteps(fields{"name": "s", "backendRefs": list{fields{"kind": "Service", "name": "x"}}}), want: enum},
		{covers: "timeout", field: "spec.rules", bad: withSteps(queueStep.and(fields{"timeout": "7d"})), good: withSteps(queueStep.and(fields{"timeout": "168h"})), want: mustBeDuration},
		{covers: "matches", field: "spec.rules", bad: withMatches(17), good: withMatches(16), want: tooMany},
		{covers: "the bot of out of hours", field: "spec.outOfHours", bad: fields{"action": "Bot"}, good: fields{"action": "Bot", "botRef": fields{"name": "b"}}, want: "botRef is required"},
		{covers: "parents", field: "spec.parentRefs", bad: many(65, parent), good: many(64, parent), want: tooMany},
		{covers: "webhook names", field: "spec.webhooks", bad: list{hook, hook}, good: list{hook}, want: duplicate},
	})
)

func TestScheduleRules(t *testing.T)      { testRules(t, "Schedule", scheduleRules) }
func TestAgentQueueRules(t *testing.T)    { testRules(t, "AgentQueue", agentQueueRules) }
func TestBotRules(t *testing.T)           { testRules(t, "Bot", botRules) }
func TestRoutingPolicyRules(t *testing.T) { testRules(t, "RoutingPolicy", policyRules) }

func weekly(changed fields) list {
	return list{fields{"days": list{"Mon"}, "from": "08:00", "to": "12:00"}.and(changed)}
}

func holidays(name string) any { return fields{"name": name, "dates": list{"2026-12-25"}} }

var (
	builtIn = fields{
		"defaultLanguage": "en", "fallback": fields{"en": "Sorry?"}, "handover": fields{"keywords": fields{"en": list{"agent"}}},
		"answers": list{fields{"name": "a", "pattern": "x", "then": fields{"text": fields{"en": "y"}}}},
	}
	queueStep = fields{"name": "s", "backendRefs": list{fields{"kind": "AgentQueue", "name": "general"}}}
	hook      = fields{"name": "router", "url": "https://r.example.com/", "secretRef": fields{"name": "r"}}
)

func oneRule(i int) any { return fields{"name": fmt.Sprintf("r%d", i), "steps": list{queueStep}} }

func withSteps(steps ...any) list { return list{fields{"name": "r", "steps": list(steps)}} }

func weighted(w int) fields {
	return fields{"name": "s", "backendRefs": list{fields{"kind": "AgentQueue", "name": "x", "weight": w}}}
}

func withMatches(n int) list {
	return list{fields{"name": "r", "steps": list{queueStep}, "matches": many(n, func(int) any { return fields{"languages": list{"fr"}} })}}
}

func parent(i int) any { return fields{"name": fmt.Sprintf("c%d", i)} }
