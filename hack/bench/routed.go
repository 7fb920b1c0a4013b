package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/hack/processes"
	"github.com/bridgekeeper/bridgekeeper/hack/traffic"
)

const (
	// routedConnections is how many webhooks are on the way at one time.
	routedConnections = 64

	// perConversation is how many messages a contact writes into a new conversation:
	// a question, and what follows when somebody answers.
	perConversation = 5

	// routedTurns is how often each of the two is measured, in turns, as the machine
	// is not the same from minute to minute.
	routedTurns = 2
)

// routed measures what routing costs ingest: contacts who have never written before
// begin conversations and write several messages, with a policy and without, in
// turns. Nobody works in the queue, as while all agents are busy.
func (b *bench) routed(ctx context.Context) error {
	const name = "bridge, store, SQLite"
	if !b.wanted(fmt.Sprintf("%s %d routed", name, routedConnections)) {
		return nil
	}
	entries, err := shopRouting()
	if err != nil {
		return err
	}
	fmt.Printf("\nrouted: new conversations of %d messages, %d connections, with a policy of %d rules and a queue\n", perConversation, routedConnections, shopRules)
	fmt.Printf("  %-28s %11s %9s %9s  %s\n", "", "messages/s", "p50", "p99", "CPU per message and memory")
	for range routedTurns {
		var cpu [2]time.Duration
		for i, with := range [][]document.Entry{nil, entries} {
			title := name
			if with != nil {
				title += ", routed"
			}
			t, err := b.world(ctx, title, "", nil, func() {}, with)
			if err != nil {
				return err
			}
			cpu[i], err = b.conversations(ctx, t)
			t.close()
			if err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
		}
		fmt.Printf("  routing: %+.1f %% processor time of bridge and store, %+d µs per message\n",
			100*(float64(cpu[1])/float64(cpu[0])-1), (cpu[1] - cpu[0]).Microseconds())
	}
	return nil
}

// conversations lets new contacts write, and returns the processor time of all
// parts per message.
func (b *bench) conversations(ctx context.Context, t *target) (time.Duration, error) {
	options := traffic.Options{
		Address: func() string { return t.address }, Path: "/webhooks/apps/messenger/" + app, AppSecret: appSecret, Page: page,
		Connections: routedConnections, Contacts: routedConnections * perConversation, Rounds: 1,
	}
	warm, err := traffic.Run(ctx, options) // statements are prepared, connections open
	if err != nil {
		return 0, err
	}
	before, err := t.usage()
	if err != nil {
		return 0, err
	}
	b.profile(t)
	options.First, options.Contacts, options.Rounds = warm.Accepted, max(b.messages/perConversation, options.Contacts), perConversation
	r, err := traffic.Run(ctx, options)
	b.profile(t)
	if err != nil {
		return 0, err
	}
	after, err := t.usage()
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	fmt.Printf("  %-28s %11.0f %9s %9s", t.name, float64(r.Requests)/r.Took.Seconds(), short(r.Percentile(50)), short(r.Percentile(99)))
	for i, p := range t.parts {
		cpu := (after[i].CPU - before[i].CPU) / time.Duration(r.Requests)
		sum += cpu
		fmt.Printf("  %s %s %.0f MB", p.name, cpu.Round(time.Microsecond), float64(after[i].RSS)/1e6)
	}
	fmt.Println()
	return sum, b.verify(ctx, t, r)
}

// shopRules is how many rules the policy of shopRouting has.
const shopRules = 6

// shopRouting is what a shop has: languages, words, customers who come first. The
// bench's messages ("Where is my order?") are taken by the rule before the last.
func shopRouting() ([]document.Entry, error) {
	const queue, urgent = processes.Namespace + "/support", processes.Namespace + "/urgent"
	to := func(name string) []routing.Step {
		return []routing.Step{{Name: "first", BackendRefs: []routing.BackendRef{{Kind: routing.BackendAgentQueue, Name: name}}, Timeout: document.Duration(time.Hour)},
			{Name: "second", BackendRefs: []routing.BackendRef{{Kind: routing.BackendAgentQueue, Name: urgent}}}}
	}
	words := func(any ...string) []routing.Match { return []routing.Match{{Text: &routing.TextMatch{Any: any}}} }
	policy := routing.Policy{Name: processes.Namespace + "/shop", Rules: []routing.Rule{
		{Name: "vip", Matches: []routing.Match{{Attributes: map[string]string{"tier": "gold"}}}, Set: routing.Set{Priority: routing.PriorityHigh}, Steps: to(urgent)},
		{Name: "french", Matches: []routing.Match{{Languages: []string{"fr"}}}, Steps: to(queue)},
		{Name: "german", Matches: []routing.Match{{Languages: []string{"de"}}}, Steps: to(queue)},
		{Name: "broken", Matches: words("broken", "damaged", "does not work"), Set: routing.Set{Priority: routing.PriorityHigh}, Steps: to(urgent)},
		{Name: "orders", Matches: words("order", "delivery", "parcel"), Set: routing.Set{Labels: map[string]string{"about": "order"}}, Steps: to(queue)},
		{Name: "money", Matches: words("refund", "invoice", "payment"), Steps: to(queue)},
	}, DefaultRoute: &routing.Route{BackendRefs: []routing.BackendRef{{Kind: routing.BackendAgentQueue, Name: queue}}}}
	var entries []document.Entry
	for _, e := range []struct {
		kind document.EntryKind
		name string
		spec any
	}{
		{document.EntryAgentQueue, queue, routing.QueueSpec{Name: queue}},
		{document.EntryAgentQueue, urgent, routing.QueueSpec{Name: urgent}},
		{document.EntryRoutingPolicy, policy.Name, policy},
	} {
		entry, err := document.NewEntry(e.kind, e.name, 1, e.spec)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}
