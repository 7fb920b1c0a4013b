package store

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
)

// routed is a store whose telegram channel has policies.
type routed struct {
	*box
	entries map[string]document.Entry
}

// chatCaps are of a platform that chats: long texts, quick replies.
var chatCaps = platform.Capabilities{
	Text: platform.TextLimit{Max: 4096, Unit: platform.UnitRunes}, Buttons: 3, QuickReplies: 13, ButtonTitle: platform.TextLimit{Max: 20, Unit: platform.UnitRunes},
	Edit: true, Delete: true,
}

const (
	general   = "shop/general"
	vip       = "shop/vip"
	menuBot   = "shop/menu"
	remoteBot = "shop/assistant"
	hours     = "shop/hours"
)

// builtInBot greets, knows "hours", and gives up on "agent" or with the second miss.
const builtInBot = `{"name":"shop/menu","defaultLanguage":"en","greeting":{"en":"Hello!"},
	"menus":[{"name":"main","text":{"en":"What is it about?"},"options":[
		{"name":"order","title":{"en":"My order"},"then":{"text":{"en":"I get somebody."},"handover":true,"topics":["order"]}},
		{"name":"hours","title":{"en":"Opening hours"},"then":{"text":{"en":"Nine to five."}}}]}],
	"fallback":{"en":"Sorry?"},"handover":{"keywords":{"en":["agent"]},"text":{"en":"One moment."},"maxTurns":5,"maxMisses":2}}`

// newRouted opens a store with the queues general and vip, the bot menu, the
// schedule hours (Monday to Friday, 9 to 17 UTC; testTime is a Sunday), and policies.
func newRouted(t testing.TB, policies ...routing.Policy) *routed {
	t.Helper()
	r := &routed{box: newBox(t, chatCaps), entries: map[string]document.Entry{}}
	r.set(testEntries(t)...)
	r.set(
		entry(t, document.EntryAgentQueue, general, routing.QueueSpec{Name: general}),
		entry(t, document.EntryAgentQueue, vip, routing.QueueSpec{Name: vip}),
		entry(t, document.EntryBot, menuBot, document.Bot{BuiltIn: json.RawMessage(builtInBot)}),
		entry(t, document.EntrySchedule, hours, schedule.Spec{TimeZone: "UTC", Weekly: []schedule.Weekly{
			{Days: []schedule.Day{schedule.Monday, schedule.Tuesday, schedule.Wednesday, schedule.Thursday, schedule.Friday}, From: "09:00", To: "17:00"}}}),
	)
	r.attach(policies...)
	return r
}

// set puts entries into the document, in place of those of the same name.
func (r *routed) set(entries ...document.Entry) {
	for _, e := range entries {
		r.entries[e.Key()] = e
	}
}

// reload puts the document into force.
func (r *routed) reload() []document.Exception {
	r.t.Helper()
	list := make([]document.Entry, 0, len(r.entries))
	for _, e := range r.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b document.Entry) int { return strings.Compare(a.Key(), b.Key()) })
	doc := testDocument(r.t, list...)
	settings := testSettings
	settings.AllowPrivateHosts = true // tests' webhooks are on this machine
	settings.Retention.Messages = document.Duration(30 * 24 * time.Hour)
	var err error
	doc.Settings, err = json.Marshal(settings)
	require.NoError(r.t, err)
	return r.Load(r.t.Context(), doc)
}

// attach attaches policies to the telegram channel, and these only.
func (r *routed) attach(policies ...routing.Policy) {
	r.t.Helper()
	spec := document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge}
	for _, p := range policies {
		r.set(entry(r.t, document.EntryRoutingPolicy, p.Name, p))
		spec.Policies = append(spec.Policies, p.Name)
	}
	r.set(entry(r.t, document.EntryChannel, telegram, spec))
	require.Empty(r.t, r.reload())
}

func toQueue(name string, weight ...int) routing.BackendRef {
	return backendRef(routing.BackendAgentQueue, name, weight...)
}

func toBot(name string, weight ...int) routing.BackendRef {
	return backendRef(routing.BackendBot, name, weight...)
}

func backendRef(kind routing.BackendKind, name string, weight ...int) routing.BackendRef {
	ref := routing.BackendRef{Kind: kind, Name: name}
	if len(weight) > 0 {
		ref.Weight = &weight[0]
	}
	return ref
}

func step(name string, to ...routing.BackendRef) routing.Step {
	return routing.Step{Name: name, BackendRefs: to}
}

// inbound is a policy with rules, whose default route is the queue general.
func inbound(rules ...routing.Rule) routing.Policy {
	return routing.Policy{Name: "shop/inbound", Rules: rules, DefaultRoute: &routing.Route{BackendRefs: []routing.BackendRef{toQueue(general)}}, DefaultLanguage: "en"}
}

func rule(name string, steps ...routing.Step) routing.Rule {
	return routing.Rule{Name: name, Steps: steps}
}

// hear lets a contact write, and returns the conversation.
func (r *routed) hear(contact, body string) string {
	r.t.Helper()
	n := count(r.t, r.Store, "messages")
	ev := textFrom(contact, numbered(contact, n), body)
	ev.Message.Timestamp = r.clock.Now()
	return getMessage(r.t, r.Store, stored(r.t, r.Store, telegram, ev)).Conversation
}

// run does what is due: errands, and steps whose time is over.
func (r *routed) run() {
	r.t.Helper()
	_, err := r.dispatcher.endSteps(r.t.Context())
	require.NoError(r.t, err)
	_, err = r.dispatcher.doErrands(r.t.Context())
	require.NoError(r.t, err)
}

func (r *routed) wantOwner(conversation string, kind OwnerKind, name string) {
	r.t.Helper()
	require.Equal(r.t, Owner{Kind: kind, Name: name}, getConversation(r.t, r.Store, conversation).Owner)
}

// routing is where a conversation is; all its decisions must be explained exactly.
func (r *routed) routing(conversation string) Routing {
	r.t.Helper()
	v, err := r.Routing(r.t.Context(), everything, conversation, PageQuery{})
	require.NoError(r.t, err)
	for _, d := range v.Decisions.Items {
		require.True(r.t, d.Exact, "%+v", d)
	}
	return v
}

func (r *routed) lastDecision(conversation string) routing.Decision {
	r.t.Helper()
	items := r.routing(conversation).Decisions.Items
	require.NotEmpty(r.t, items)
	return items[0].Decision
}

// said are the outbound texts of a conversation, with who speaks, in their order.
func (r *routed) said(conversation string) (list []string) {
	r.t.Helper()
	page, err := r.ConversationMessages(r.t.Context(), everything, conversation, PageQuery{Limit: 200})
	require.NoError(r.t, err)
	slices.SortFunc(page.Items, func(a, b message.Message) int { return strings.Compare(a.ID, b.ID) })
	for _, m := range page.Items {
		if m.Direction == message.Outbound {
			list = append(list, string(m.Author.Kind)+": "+m.Text)
		}
	}
	return list
}
