package store

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// withBot sends everybody to the bot first, then to the queue general.
func withBot(bot string) routing.Policy {
	return inbound(rule("all", step("bot", toBot(bot)), step("people", toQueue(general))))
}

func TestABuiltInBotTalksAndHandsOver(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	v := r.hear("c1", "hi")
	r.wantOwner(v, OwnerBot, menuBot)
	r.run()
	require.Equal(t, []string{"bot: Hello!", "bot: What is it about?"}, r.said(v))
	d := r.leaseOne()
	r.sent(d)
	d = r.leaseOne()
	require.Equal(t, "bot:main/order", d.Parts[0].Buttons[0].Payload)
	require.Equal(t, message.ButtonStyleQuickReplies, d.Parts[0].ButtonStyle)
	r.sent(d)

	ev := text("p1", "My order")
	ev.Message.Type, ev.Message.Postback, ev.Message.Text = message.TypePostback, &message.Postback{Payload: "bot:main/order", Title: "My order"}, ""
	stored(t, r.Store, telegram, ev)
	r.run()
	r.wantOwner(v, OwnerQueue, general)
	require.Equal(t, "policy: I get somebody.", r.said(v)[2], "the last words are the policy's: no owner silences them")
	at := r.routing(v)
	require.Equal(t, []string{"order"}, at.Topics)
	last := at.Decisions.Items[0]
	require.Equal(t, routing.EventHandoffRequested, last.Facts.Event)
	require.Equal(t, "Requested", last.Reason)
	require.Equal(t, menuBot, last.Facts.Conversation.Bot)
	r.assign(v, Owner{Kind: OwnerAgent, Name: "ana"})
	require.Equal(t, "I get somebody.", r.leaseOne().Parts[0].Text)
}

func TestOptionsAreNumbersWhereButtonsDoNotFit(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	r.opts.Capabilities["telegram"] = testCaps // no quick replies; three buttons, ten characters a message
	v := r.hear("c1", "hi")
	r.run()
	require.Len(t, r.said(v), 2)
	noButtons := testCaps
	noButtons.Buttons = 0
	r.opts.Capabilities["telegram"] = noButtons
	w := r.hear("c2", "hi")
	r.run()
	require.Equal(t, "bot: What is it about?\n1. My order\n2. Opening hours", r.said(w)[1])
	r.hear("c2", "2")
	r.run()
	require.Equal(t, "bot: Nine to five.", r.said(w)[2])
}

func TestABotHandsOverByItself(t *testing.T) {
	for name, tc := range map[string]struct {
		says   []string
		reason string
	}{
		"a word":               {[]string{"an AGENT please"}, "Keyword"},
		"not understood":       {[]string{"hi", "???", "!!!"}, "NotUnderstood"},
		"too many turns":       {[]string{"hi", "2", "2", "2", "2", "2"}, "MaxTurns"},
		"several before a run": {[]string{"agent", "hello?", "hello??"}, "Keyword"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouted(t, withBot(menuBot))
			var v string
			for _, body := range tc.says {
				v = r.hear("c1", body)
				if name != "several before a run" {
					r.run()
				}
			}
			r.run()
			r.wantOwner(v, OwnerQueue, general)
			require.Equal(t, tc.reason, r.routing(v).Decisions.Items[0].Reason)
			said := r.said(v)
			require.Equal(t, "policy: One moment.", said[len(said)-1])
			require.Zero(t, count(t, r.Store, "errands"))
			r.hear("c1", "2")
			r.run()
			require.Equal(t, said, r.said(v), "a bot is silent once it has handed over")
		})
	}
}

func TestAQueueThatTakesTooLongReturnsToTheBot(t *testing.T) {
	people := step("people", toQueue(general))
	people.Timeout = document.Duration(10 * time.Minute)
	back := step("back", toBot(menuBot))
	back.Next = ""
	r := newRouted(t, inbound(rule("all", people, back)))
	v := r.hear("c1", "hi")
	r.wantOwner(v, OwnerQueue, general)
	r.clock.advance(10 * time.Minute)
	r.run()
	r.wantOwner(v, OwnerBot, menuBot)
	require.Equal(t, []string{"bot: What is it about?"}, r.said(v), "without a greeting: it is given a conversation, not met anew")
}

func TestAnAgentHandsBackToTheBot(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	v := r.hear("c1", "agent")
	r.run()
	r.assign(v, Owner{Kind: OwnerAgent, Name: "ana"})
	epoch := getConversation(t, r.Store, v).Epoch
	_, err := r.Pass(t.Context(), everything, v, Owner{Kind: OwnerBot, Name: menuBot}, epoch)
	require.NoError(t, err)
	r.run()
	require.Equal(t, []string{"policy: One moment.", "bot: What is it about?"}, r.said(v))
	r.hear("c1", "2")
	r.run()
	require.Equal(t, "bot: Nine to five.", r.said(v)[2])
}

func TestABotThatIsRemovedHandsOver(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	v := r.hear("c1", "hi")
	r.run()
	delete(r.entries, "Bot/"+menuBot)
	require.Empty(t, r.reload())
	r.hear("c1", "2")
	r.run()
	r.wantOwner(v, OwnerQueue, general)
	require.Equal(t, "Failure", r.routing(v).Decisions.Items[0].Reason)
}

// service is what bots and webhooks call.
type service struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []consultation
	ids    []string
	valid  []bool
	answer func(n int, w http.ResponseWriter)
}

var secretKey = []byte("0123456789abcdef0123456789abcdef")

func newService(t *testing.T) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var raw json.RawMessage
		var q consultation
		_ = json.NewDecoder(req.Body).Decode(&raw)
		_ = json.Unmarshal(raw, &q)
		seconds, _ := strconv.ParseInt(req.Header.Get("webhook-timestamp"), 10, 64)
		signer := endpoint{keys: []signingKey{{key: secretKey}}}
		s.mu.Lock()
		s.asked, s.ids = append(s.asked, q), append(s.ids, req.Header.Get("webhook-id"))
		s.valid = append(s.valid, req.Header.Get("webhook-signature") == signer.sign(req.Header.Get("webhook-id"), time.Unix(seconds, 0), raw))
		n, answer := len(s.asked), s.answer
		s.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		answer(n, w)
	}))
	t.Cleanup(s.Close)
	return s
}

// says lets the service answer always the same.
func (s *service) says(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = func(_ int, w http.ResponseWriter) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

func (s *service) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func (s *service) webhook() *document.Webhook {
	return &document.Webhook{URL: s.URL + "/hook", Secret: secretPrefix + base64.StdEncoding.EncodeToString(secretKey), Timeout: document.Duration(5 * time.Second)}
}

// settleAll does errands, and waits for the answers of those that are asked.
func (r *routed) settleAll() {
	r.t.Helper()
	for range 50 {
		r.run()
		r.dispatcher.calls.done.Wait()
		var due int
		_, err := one(r.t.Context(), r.read, []any{&due}, `SELECT COUNT(*) FROM errands WHERE due_at <= ?`, ms(r.clock.Now()))
		require.NoError(r.t, err)
		if due == 0 {
			return
		}
	}
	r.t.Fatal("errands do not come to an end")
}

func newRemoteBot(t *testing.T, s *service) *routed {
	r := newRouted(t)
	r.set(entry(t, document.EntryBot, remoteBot, document.Bot{Webhook: s.webhook(), Handover: document.BotHandover{
		Keywords: map[string][]string{"en": {"human"}}, Text: map[string]string{"en": "A person comes."}, MaxTurns: 3}}))
	r.attach(withBot(remoteBot))
	return r
}

func TestARemoteBotIsAskedAndAnswers(t *testing.T) {
	s := newService(t)
	s.says(200, `{"replies":[{"text":"Which order?","quickReplies":[{"title":"Yesterday's","payload":"y"}]}]}`)
	r := newRemoteBot(t, s)
	v := r.hear("c1", "where is my order?")
	r.settleAll()
	require.Equal(t, []string{"bot: Which order?"}, r.said(v))
	require.Equal(t, []bool{true}, s.valid, "signed")
	require.Equal(t, questionBot, s.asked[0].Type)
	data := s.asked[0].Data.(map[string]any)
	require.Equal(t, "where is my order?", data["message"].(map[string]any)["text"])
	require.Equal(t, v, data["conversation"])
	require.InDelta(t, 1, data["turn"], 0)

	s.says(200, `{"replies":[{"text":"I get somebody."}],"handover":{"reason":"Billing","topics":["billing"]}}`)
	r.hear("c1", "the blue one")
	r.settleAll()
	r.wantOwner(v, OwnerQueue, general)
	require.Equal(t, "policy: I get somebody.", r.said(v)[1])
	require.Equal(t, []string{"billing"}, r.routing(v).Topics)
	require.Equal(t, "Billing", r.routing(v).Decisions.Items[0].Reason)
}

func TestARemoteBotLosesTheConversation(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		says   []string
		reason string
		asked  int
	}{
		"by a word":             {200, `{"replies":[{"text":"a"}]}`, []string{"a human"}, "Keyword", 0},
		"by turns":              {200, `{"replies":[{"text":"a"}]}`, []string{"1", "2", "3", "4"}, "MaxTurns", 3},
		"a refusal":             {404, ``, []string{"hi"}, "Failure", 1},
		"trouble":               {503, ``, []string{"hi"}, "Failure", 3},
		"no JSON":               {200, `hello`, []string{"hi"}, "Failure", 1},
		"a redirect elsewhere":  {307, ``, []string{"hi"}, "Failure", 1},
		"an answer without end": {200, `{"replies":[{"text":"` + string(make([]byte, answerMax)) + `"}]}`, []string{"hi"}, "Failure", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.says(tc.status, tc.body)
			r := newRemoteBot(t, s)
			var v string
			for _, body := range tc.says {
				v = r.hear("c1", body)
				for range 4 { // attempts
					r.settleAll()
					r.clock.advance(2 * time.Second)
				}
			}
			r.wantOwner(v, OwnerQueue, general)
			require.Equal(t, tc.asked, s.questions())
			for _, id := range s.ids[min(1, len(s.ids)):] {
				if tc.reason == "Failure" {
					require.Equal(t, s.ids[0], id, "one question has one id")
				}
			}
			require.Equal(t, tc.reason, r.routing(v).Decisions.Items[0].Reason)
			said := r.said(v)
			require.Equal(t, "policy: A person comes.", said[len(said)-1])
		})
	}
}

func TestAFailingBotTripsItsBreaker(t *testing.T) {
	s := newService(t)
	s.says(404, ``)
	r := newRemoteBot(t, s)
	for i := range breakerFailures {
		v := r.hear(numbered("c", i), "hi")
		r.settleAll()
		r.wantOwner(v, OwnerQueue, general)
	}
	require.Equal(t, breakerFailures, s.questions())
	require.InDelta(t, 1, r.openBackendBreakers(), 0)
	v := r.hear("late", "hi")
	r.wantOwner(v, OwnerQueue, general)
	d := r.routing(v).Decisions.Items[0]
	require.True(t, d.Facts.Bots[remoteBot].Failing, "new conversations do not go there at all")
	require.Equal(t, breakerFailures, s.questions())

	r.clock.advance(breakerFirst + time.Second)
	s.says(200, `{"replies":[{"text":"I am back."}]}`)
	w := r.hear("later", "hi")
	r.wantOwner(w, OwnerBot, remoteBot)
	r.settleAll()
	require.Equal(t, []string{"bot: I am back."}, r.said(w))
	require.Zero(t, count(t, r.Store, "backend_breakers"))
}

func TestALateReplyIsNeverSaid(t *testing.T) {
	s := newService(t)
	asked, goOn := make(chan struct{}), make(chan struct{})
	s.answer = func(_ int, w http.ResponseWriter) {
		close(asked)
		<-goOn
		_, _ = w.Write([]byte(`{"replies":[{"text":"too late"}]}`))
	}
	r := newRemoteBot(t, s)
	v := r.hear("c1", "hi")
	r.run()
	<-asked
	epoch := getConversation(t, r.Store, v).Epoch
	_, err := r.Take(t.Context(), everything, v, Owner{Kind: OwnerAgent, Name: "ana"}, epoch)
	require.NoError(t, err)
	close(goOn)
	r.settleAll()
	require.Empty(t, r.said(v))
	r.wantOwner(v, OwnerAgent, "ana")
	require.Zero(t, count(t, r.Store, "errands"))
}

func TestAQuestionOfADeadReplicaIsAskedAgain(t *testing.T) {
	s := newService(t)
	s.says(200, `{"replies":[{"text":"here"}]}`)
	r := newRemoteBot(t, s)
	v := r.hear("c1", "hi")
	list, err := all(t.Context(), r.read, scanErrand, selectErrands)
	require.NoError(t, err)
	_, ask, err := r.dispatcher.claim(t.Context(), list[0], r.dispatcher.endpointOf(list[0]))
	require.NoError(t, err)
	require.NotNil(t, ask)
	r.settleAll()
	require.Zero(t, s.questions(), "it is claimed")
	r.clock.advance(time.Minute)
	r.settleAll()
	require.Equal(t, []string{"bot: here"}, r.said(v))
}

// withWebhook asks the service who gets everybody.
func newWebhookPolicy(t *testing.T, s *service, change func(*document.Webhook)) *routed {
	r := newRouted(t)
	hook := s.webhook()
	if change != nil {
		change(hook)
	}
	r.set(entry(t, document.EntryWebhook, "shop/inbound/router", hook))
	r.attach(inbound(rule("all", step("ask", backendRef(routing.BackendWebhook, "shop/inbound/router")), step("people", toQueue(general)))))
	return r
}

func TestAWebhookSaysWhoGetsIt(t *testing.T) {
	s := newService(t)
	s.says(200, `{"queue":"shop/vip","priority":"Urgent","labels":{"tier":"gold"},"topics":["new"]}`)
	r := newWebhookPolicy(t, s, nil)
	v := r.hear("c1", "my secret")
	r.wantOwner(v, OwnerNone, "")
	require.True(t, r.routing(v).Asking)
	r.hear("c1", "hello?")
	r.settleAll()
	r.wantOwner(v, OwnerQueue, vip)
	at := r.routing(v)
	require.Len(t, at.Decisions.Items, 1, "while it is asked, the next message is not routed")
	require.Equal(t, routing.PriorityUrgent, at.Priority)
	require.Equal(t, map[string]string{"tier": "gold"}, at.Labels)
	require.JSONEq(t, `{"queue":"shop/vip","priority":"Urgent","labels":{"tier":"gold"},"topics":["new"]}`, string(at.Decisions.Items[0].Answer))
	raw, err := json.Marshal(s.asked[0].Data)
	require.NoError(t, err)
	require.NotContains(t, string(raw), "my secret", "without includeText")
	require.Contains(t, string(raw), "shop/inbound")
	require.Equal(t, []bool{true}, s.valid)

	included := newWebhookPolicy(t, s, func(h *document.Webhook) { h.IncludeText = true })
	included.hear("c1", "my secret")
	included.settleAll()
	raw, err = json.Marshal(s.asked[1].Data)
	require.NoError(t, err)
	require.Contains(t, string(raw), "my secret")
}

func TestAWebhookThatNamesNobody(t *testing.T) {
	for name, tc := range map[string]struct {
		status       int
		body, answer string
	}{
		"next":            {200, `{"next":true}`, `{"next":true}`},
		"a wrong queue":   {200, `{"queue":"shop/queue"}`, `{"failed":"it named a queue that is not in force in its policy's namespace"}`},
		"a foreign queue": {200, `{"queue":"bank/tellers"}`, `{"failed":"it named a queue that is not in force in its policy's namespace"}`},
		"an error":        {400, ``, `{"failed":"it answered with status 400"}`},
		"an empty answer": {200, ``, `{"failed":"its answer is not the JSON that belongs there"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			s.says(tc.status, tc.body)
			r := newWebhookPolicy(t, s, nil)
			r.set(entry(t, document.EntryAgentQueue, "bank/tellers", routing.QueueSpec{Name: "bank/tellers"}))
			require.Empty(t, r.reload())
			v := r.hear("c1", "hi")
			r.settleAll()
			r.wantOwner(v, OwnerQueue, general)
			items := r.routing(v).Decisions.Items
			require.Equal(t, routing.EventStepFailed, items[0].Facts.Event)
			require.JSONEq(t, tc.answer, string(items[1].Answer))
		})
	}
}

func TestPrivateAddressesAreOutOfReach(t *testing.T) {
	s := newService(t)
	s.says(200, `{"queue":"shop/vip"}`)
	hook, err := newEndpoint("shop/inbound/router", *s.webhook())
	require.NoError(t, err)
	var clients webhookClients
	var answer webhookAnswer
	err = hook.call(t.Context(), clients.get(false), "msg_1", testTime, consultation{}, &answer)
	require.ErrorContains(t, err, "may not be reached")
	require.Zero(t, s.questions())
	require.NoError(t, hook.call(t.Context(), clients.get(true), "msg_1", testTime, consultation{}, &answer))
}

func TestBothKeysSignUntilTheOldOneIsOver(t *testing.T) {
	old, current := []byte("old key, old key, old key"), []byte("new key, new key, new key")
	secret := func(key []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(key) }
	e, err := newEndpoint("x", document.Webhook{URL: "https://bot.example", Secret: secret(current), PreviousSecret: &document.PreviousSecret{Value: secret(old), Until: testTime.Add(time.Hour)}})
	require.NoError(t, err)
	alone := func(key []byte) string {
		return (&endpoint{keys: []signingKey{{key: key}}}).sign("id", testTime, []byte("{}"))
	}
	require.Equal(t, alone(current)+" "+alone(old), e.sign("id", testTime, []byte("{}")))
	require.NotContains(t, e.sign("id", testTime.Add(time.Hour), []byte("{}")), " ")
	// A vector of the specification's own library: id, timestamp and payload as there.
	known := &endpoint{keys: []signingKey{{key: mustBase64(t, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}}}
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", known.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)))
}

func mustBase64(t *testing.T, s string) []byte {
	raw, err := base64.StdEncoding.DecodeString(s)
	require.NoError(t, err)
	return raw
}

func TestTheBreakerOpensLongerEachTime(t *testing.T) {
	require.Zero(t, openFor(breakerFailures-1))
	require.Equal(t, breakerFirst, openFor(breakerFailures))
	require.Equal(t, 2*breakerFirst, openFor(breakerFailures+1))
	require.Equal(t, breakerMost, openFor(1_000_000))
}

// Whatever happens to a conversation, in whichever order, and whoever is faster: a
// bot's message is handed to a bridge only while that bot has the conversation.
func TestABotNeverSpeaksAfterItLostTheConversation(t *testing.T) {
	r := newRouted(t, withBot(menuBot))
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		contact := numbered("person", round)
		v := r.hear(contact, "hi")
		for i := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"hear", "agent", "run", "take", "pass", "lease", "resolve", "race"}).Draw(rt, "what") {
			case "hear":
				v = r.hear(contact, numbered("2", i))
			case "agent":
				v = r.hear(contact, "agent")
			case "run":
				r.run()
			case "take":
				r.assign(v, Owner{Kind: OwnerAgent, Name: "ana"})
			case "pass":
				r.assign(v, Owner{Kind: OwnerBot, Name: menuBot})
			case "resolve":
				r.resolve(v)
			case "race":
				var wg sync.WaitGroup
				wg.Go(func() { _, _ = r.dispatcher.doErrands(context.WithoutCancel(t.Context())) })
				wg.Go(func() {
					_, _ = r.Assign(context.WithoutCancel(t.Context()), everything, v, Owner{Kind: OwnerAgent, Name: "ben"}, 0)
				})
				wg.Wait()
			}
			for _, d := range r.lease(100) {
				m := getMessage(t, r.Store, d.ID)
				if m.Author.Kind == message.AuthorBot {
					owner := getConversation(t, r.Store, m.Conversation).Owner
					require.Equal(rt, Owner{Kind: OwnerBot, Name: m.Author.Name}, owner, m.Text)
				}
				r.sent(d)
			}
		}
	})
}
