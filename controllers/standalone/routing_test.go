package standalone

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

const deskManifests = `apiVersion: bridgekeeper.dev/v1alpha1
kind: AgentQueue
metadata: {name: general}
spec: {selector: {labels: {team: general}}}
---
apiVersion: bridgekeeper.dev/v1alpha1
kind: AgentQueue
metadata: {name: orders}
spec: {selector: {labels: {team: orders}}, offer: {mode: Assign}}
---
apiVersion: bridgekeeper.dev/v1alpha1
kind: Bot
metadata: {name: menu}
spec:
  builtIn:
    defaultLanguage: en
    menus:
      - name: main
        text: {en: "What is it about?"}
        options:
          - {name: order, title: {en: My order}, then: {text: {en: One moment.}, handover: true, topics: [order]}}
    fallback: {en: Please choose.}
    handover: {keywords: {en: [agent]}}
---
apiVersion: bridgekeeper.dev/v1alpha1
kind: Schedule
metadata: {name: always}
spec: {timeZone: UTC, weekly: [{days: [Mon, Tue, Wed, Thu, Fri, Sat, Sun], from: "00:00", to: "24:00"}]}
---
apiVersion: bridgekeeper.dev/v1alpha1
kind: RoutingPolicy
metadata: {name: inbound}
spec:
  channelSelector: {}
  rules:
    - name: orders
      matches: [{topics: [order]}]
      steps: [{name: people, backendRefs: [{kind: AgentQueue, name: orders}]}]
    - name: everybody
      matches: [{schedule: {name: always, is: Open}}]
      steps: [{name: first, backendRefs: [{kind: FIRST}]}]
  defaultRoute: {backendRefs: [{kind: AgentQueue, name: general}]}
`

func (h *home) desks(first string) {
	h.write("desks.yaml", strings.Replace(deskManifests, "FIRST", first, 1))
}

// customer writes to the polled bot.
func (h *home) customer(id int64) func(text string) {
	h.telegram.NewUser(telegram.User{ID: id, FirstName: "Ann"})
	side := h.telegram.Bot(pollingBot).Customer(id)
	_, err := side.Start("")
	require.NoError(h.t, err)
	return func(text string) {
		h.t.Helper()
		_, err := side.Send(text)
		require.NoError(h.t, err)
	}
}

// sees waits until a customer has a text of the shop.
func (h *home) sees(customer int64, text string) {
	h.t.Helper()
	h.eventually("the customer sees "+text, func() bool {
		for _, e := range h.telegram.Bot(pollingBot).Transcript(customer, "") {
			if e.From == "bot" && e.Message != nil && strings.Contains(e.Message.Text, text) {
				return true
			}
		}
		return false
	})
}

// owned waits until the newest conversation of a channel has this owner, and
// returns its id.
func (h *home) owned(want store.Owner) (id string) {
	h.t.Helper()
	var last []store.Conversation
	h.eventually("owned by "+string(want.Kind)+" "+want.Name, func() bool {
		var list struct{ Items []store.Conversation }
		require.Equal(h.t, http.StatusOK, h.rest("GET", "/v1/conversations?channel=shop/poll", "", &list))
		if last = list.Items; len(last) > 0 && last[0].Owner == want {
			id = last[0].ID
		}
		return id != ""
	})
	return id
}

// The manifests route as in a cluster: a bot has a customer first and hands
// over to an agent; a file that changes is in force within a second; what the
// store alone knows is printed.
func TestRoutingWithoutACluster(t *testing.T) {
	h := prepareHome(t)
	h.desks("Bot, name: menu")
	h.begin()
	require.True(t, h.says("Policy    shop/inbound   priority 0, 2 rules, routes shop/hook, shop/poll"))
	h.eventually("the queue is told to have no agents", func() bool { return h.says("!! AgentQueue shop/orders  Staffed NoAgents") })
	h.eventually("the schedule is told to be open", func() bool { return h.says("Schedule shop/always  is open") })
	var ada store.Agent
	require.Equal(t, http.StatusCreated, h.rest("POST", "/v1/agents", `{"namespace":"shop","name":"ada","labels":{"team":"orders"}}`, &ada))
	require.Equal(t, http.StatusOK, h.rest("POST", "/v1/agents/"+ada.ID+":heartbeat", `{"state":"online"}`, nil))
	h.eventually("the queue has an agent", func() bool { return h.says("ok AgentQueue shop/orders  Staffed") })

	writes := h.customer(501)
	h.sees(501, "What is it about?")
	h.owned(store.Owner{Kind: store.OwnerBot, Name: "shop/menu"})
	writes("My order")
	h.sees(501, "One moment.")
	conversation := h.owned(store.Owner{Kind: store.OwnerAgent, Name: ada.ID})
	require.Equal(t, http.StatusOK, h.rest("GET", "/v1/conversations/"+conversation+"/routing", "", nil))

	h.desks("AgentQueue, name: general")
	h.eventually("the change is in force", func() bool { return h.says("the manifests are in force") })
	h.customer(502)
	h.owned(store.Owner{Kind: store.OwnerQueue, Name: "shop/general"})

	h.desks("AgentQueue, name: nowhere")
	h.eventually("a mistake is told", func() bool {
		return h.says(`BackendNotFound: spec.rules[1].steps[0].backendRefs[0]: AgentQueue "shop/nowhere" not found; 100% of rule everybody goes to what onExhausted says`)
	})
}
