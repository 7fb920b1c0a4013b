package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// german is a policy whose first rule is for who speaks German; others get the bot, then
// the queue general.
func german() routing.Policy { return germanOr(step("bot", toBot(menuBot))) }

// germanOr has another step for the others.
func germanOr(first routing.Step) routing.Policy {
	de := rule("german", step("vip", toQueue(vip)))
	de.Matches = []routing.Match{{Languages: []string{"de"}}}
	p := inbound(de, rule("all", first, step("people", toQueue(general))))
	p.Greeting = &routing.Reply{Texts: map[string]string{"en": "Welcome.", "de": "Willkommen."}}
	return p
}

// defaultLanguage gives the telegram channel one.
func (r *routed) defaultLanguage(tag string) []document.Exception {
	r.set(entry(r.t, document.EntryChannel, telegram, document.StoreChannel{Platform: "telegram", Account: "100", Bridge: shopBridge, Policies: []string{"shop/inbound"}, DefaultLanguage: tag}))
	return r.reload()
}

// speaks lets a contact write whose profile has a language.
func (r *routed) speaks(contact, language string) string {
	ev := textFrom(contact, numbered(contact, count(r.t, r.Store, "messages")), "x")
	ev.Message.Timestamp, ev.Message.Contact.Language = r.clock.Now(), language
	return getMessage(r.t, r.Store, stored(r.t, r.Store, telegram, ev)).Conversation
}

// A rule goes by the profile's language, else by the channel's; the decision keeps
// which of them it was.
func TestTheLanguageIsTheProfilesElseTheChannels(t *testing.T) {
	r := newRouted(t, german())
	check := func(v string, want routing.Language, rule string) {
		t.Helper()
		d := r.routing(v).Decisions.Items[0]
		require.Equal(t, want, d.Facts.Language)
		require.Equal(t, rule, d.Decision.Rule)
		require.Equal(t, want, getConversation(t, r.Store, v).Language)
	}
	check(r.speaks("c1", ""), routing.Language{}, "all")
	check(r.speaks("c2", "de-AT"), routing.Language{Code: "de-AT", Source: routing.LanguageContact}, "german")
	require.Empty(t, r.defaultLanguage("de"))
	v := r.speaks("c3", "")
	check(v, routing.Language{Code: "de", Source: routing.LanguageChannel}, "german")
	check(r.speaks("c4", "fr"), routing.Language{Code: "fr", Source: routing.LanguageContact}, "all")
	r.run()
	require.Equal(t, []string{"policy: Willkommen."}, r.said(v))
	page, err := r.Conversations(t.Context(), everything, ConversationQuery{Channel: telegram})
	require.NoError(t, err)
	for _, c := range page.Items {
		require.Equal(t, getConversation(t, r.Store, c.ID).Language, c.Language)
	}
}

func TestAChannelsDefaultLanguageIsOne(t *testing.T) {
	r := newRouted(t, german())
	list := r.defaultLanguage("german!")
	require.Len(t, list, 1)
	require.Equal(t, "defaultLanguage", list[0].Field)
	require.Contains(t, list[0].Message, "BCP 47")
}

// What an agent or a bot of REST says goes before the profile, also in the contact's next
// conversations, until nothing is said any more.
func TestTheLanguageThatIsSaidStays(t *testing.T) {
	r := newRouted(t, german())
	v := r.speaks("c1", "en")
	r.run()
	r.wantOwner(v, OwnerBot, menuBot)
	code := "de"
	c := r.update(v, ConversationUpdate{Language: &code})
	require.Equal(t, routing.Language{Code: "de", Source: routing.LanguageSet}, c.Language)
	events, _, err := r.Events(t.Context(), everything, 0, 1000)
	require.NoError(t, err)
	last := events[len(events)-1]
	require.Equal(t, EventConversationUpdated, last.Type)
	require.Equal(t, v, last.Conversation)
	_, err = r.Release(t.Context(), everything, v, c.Epoch)
	require.NoError(t, err)
	r.wantOwner(v, OwnerQueue, vip)
	require.Equal(t, routing.LanguageSet, r.routing(v).Decisions.Items[0].Facts.Language.Source)

	r.resolve(v)
	r.clock.advance(25 * time.Hour)
	w := r.speaks("c1", "en")
	require.NotEqual(t, v, w)
	r.wantOwner(w, OwnerQueue, vip)
	code = ""
	c = r.update(w, ConversationUpdate{Language: &code})
	require.Equal(t, routing.Language{Code: "en", Source: routing.LanguageContact}, c.Language)
	r.resolve(w)
	r.clock.advance(25 * time.Hour)
	r.wantOwner(r.speaks("c1", "en"), OwnerBot, menuBot)

	for _, bad := range []string{"d", "deutsch, bitte", "de-toolongsubtag", "de-1234567-1234567-1234567-1234567-1"} {
		var field *FieldError
		_, err := r.UpdateConversation(t.Context(), everything, v, ConversationUpdate{Language: &bad})
		require.ErrorAs(t, err, &field, bad)
		require.Equal(t, "language", field.Field)
	}
}

// A bot that hands over says what the contact speaks; nonsense is left out.
func TestABotSaysTheLanguage(t *testing.T) {
	for said, owner := range map[string]string{"de": vip, "???": general} {
		s := newService(t)
		r := newRemoteBot(t, s)
		r.attach(germanOr(step("bot", toBot(remoteBot))))
		s.says(200, `{"language":"`+said+`","handover":{}}`)
		v := r.hear("c1", "ich brauche Hilfe")
		r.settleAll()
		r.wantOwner(v, OwnerQueue, owner)
	}
}

func TestAWebhookSaysTheLanguage(t *testing.T) {
	s := newService(t)
	s.says(200, `{"queue":"shop/general","language":"de"}`)
	r := newWebhookPolicy(t, s, nil)
	r.attach(germanOr(step("ask", backendRef(routing.BackendWebhook, "shop/inbound/router"))))
	v := r.hear("c1", "x")
	r.settleAll()
	r.wantOwner(v, OwnerQueue, general)
	require.Equal(t, routing.Language{Code: "de", Source: routing.LanguageSet}, getConversation(t, r.Store, v).Language)
}

// A built-in bot answers in the language that was said.
func TestABotAnswersInTheLanguageThatWasSaid(t *testing.T) {
	r := newRouted(t, inbound(rule("all", step("bot", toBot(menuBot)))))
	r.set(entry(t, document.EntryBot, menuBot, document.Bot{BuiltIn: []byte(`{"name":"shop/menu","defaultLanguage":"en","fallback":{"en":"Sorry?","de":"Wie bitte?"},
		"answers":[{"name":"hours","keywords":{"en":["hours"],"de":["hours"]},"then":{"text":{"en":"Nine to five.","de":"Neun bis fünf."}}}],"handover":{"keywords":{"en":["agent"]},"maxMisses":5}}`)}))
	require.Empty(t, r.reload())
	v := r.speaks("c1", "en")
	r.run()
	code := "de"
	r.update(v, ConversationUpdate{Language: &code})
	r.hear("c1", "hours")
	r.run()
	said := r.said(v)
	require.Equal(t, "bot: Neun bis fünf.", said[len(said)-1])
}
