package telegram

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

func TestLoadNamesTheField(t *testing.T) {
	valid := document.Channel{Account: testAccount, Credentials: map[string]string{KeyToken: testToken}}
	tests := []struct {
		field    string
		words    string
		change   func(*document.Channel)
		endpoint string
	}{
		{"credentials", `no key "token"`, withCredentials(nil), ""},
		{"credentials", "not a bot token", withCredentials(map[string]string{KeyToken: "no-colon"}), ""},
		{"credentials", "not a bot token", withCredentials(map[string]string{KeyToken: testAccount + ":a/../b"}), ""},
		{"credentials", "is of bot 1", withCredentials(map[string]string{KeyToken: "1:abc"}), ""},
		{"credentials", "webhookSecret", withCredentials(map[string]string{KeyToken: testToken, KeyWebhookSecret: "with space"}), ""},
		{"credentials", "webhookSecret", withCredentials(map[string]string{KeyToken: testToken, KeyWebhookSecret: strings.Repeat("a", 257)}), ""},
		{"telegram", "is not what this version reads", withConfig(`[]`), ""},
		{"telegram.botID", "the channel's account", withConfig(`{"botID":"1"}`), ""},
		{"telegram.maxConnections", "between 1 and 100", withConfig(`{"maxConnections":101}`), ""},
		{"telegram.profile.name", "64", withConfig(`{"profile":{"name":"` + strings.Repeat("ä", 65) + `"}}`), ""},
		{"telegram.profile.description", "512", withConfig(`{"profile":{"description":"` + strings.Repeat("a", 513) + `"}}`), ""},
		{"telegram.profile.shortDescription", "120", withConfig(`{"profile":{"shortDescription":"` + strings.Repeat("a", 121) + `"}}`), ""},
		{"telegram.profile.commands[1].command", "without the slash", withConfig(`{"profile":{"commands":[{"command":"a","description":"b"},{"command":"/a","description":"b"}]}}`), ""},
		{"telegram.profile.commands[0].description", "256", withConfig(`{"profile":{"commands":[{"command":"a","description":""}]}}`), ""},
		{"telegram.profile.localized[0].languageCode", "two letters", withConfig(`{"profile":{"localized":[{"languageCode":"deu"}]}}`), ""},
		{"telegram.profile.localized[0].name", "64", withConfig(`{"profile":{"localized":[{"languageCode":"de","name":"` + strings.Repeat("a", 65) + `"}]}}`), ""},
		{"platformEndpoints", "base URL", nil, "ftp://example.com"},
	}
	for _, tt := range tests {
		t.Run(tt.field+" "+tt.words, func(t *testing.T) {
			spec := valid
			if tt.change != nil {
				tt.change(&spec)
			}
			_, err := New().Load(context.Background(), platform.LoadSpec{Name: "shop/bot", Spec: spec, Endpoint: tt.endpoint})
			var field *platform.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, tt.field, field.Field)
			require.Contains(t, field.Message, tt.words)
			require.NotContains(t, err.Error(), testToken)
		})
	}
}

func TestLoadTakesATokenWithALineEnd(t *testing.T) {
	a := newAPI(t)
	a.answer("getMe", `{"id":7000000001,"first_name":"Shop"}`)
	ch := a.load(t, New(), withCredentials(map[string]string{KeyToken: testToken + "\n"}))
	result, err := New().Probe(t.Context(), ch)
	require.NoError(t, err)
	require.Equal(t, platform.ProbeResult{Account: testAccount, DisplayName: "Shop"}, result)
}

func TestConfigIsTheResourcesJSON(t *testing.T) {
	config, err := platform.ConfigOf[Config](json.RawMessage(`{"botID":"1","receive":"Webhook","maxConnections":5,"profile":{"name":"N","commands":[],
		"localized":[{"languageCode":"de","description":"D","commands":[{"command":"hilfe","description":"Hilfe"}]}]}}`))
	require.NoError(t, err)
	name, description := "N", "D"
	require.Equal(t, Config{BotID: "1", MaxConnections: 5, Profile: &Profile{
		Texts: Texts{Name: &name, Commands: []Command{}},
		Localized: []LocalizedTexts{{LanguageCode: "de", Texts: Texts{
			Description: &description, Commands: []Command{{Command: "hilfe", Description: "Hilfe"}},
		}}},
	}}, config)
}

func TestVerifyWithAnOwnSecret(t *testing.T) {
	a, p := newAPI(t), New()
	now := time.Now()
	ch := a.load(t, p, func(c *document.Channel) {
		c.Credentials[KeyWebhookSecret] = "the-new-one"
		c.PreviousCredentials = []document.PreviousCredentials{
			{Values: map[string]string{KeyToken: testToken, KeyWebhookSecret: "the-old-one"}, Until: now.Add(time.Minute)},
			{Values: map[string]string{KeyToken: newToken}, Until: now.Add(time.Minute)}, // derived then
			{Values: map[string]string{KeyWebhookSecret: "the-oldest-one"}, Until: now.Add(-time.Minute)},
		}
	})
	verify := func(values ...string) bool {
		return p.Verify(ch, platform.Request{Header: http.Header{secretHeader: values}}, now)
	}
	require.True(t, verify("the-new-one"))
	require.True(t, verify("the-old-one"))
	require.True(t, verify(webhookSecret(map[string]string{KeyToken: newToken})))
	require.False(t, verify("the-oldest-one"), "its time is over")
	require.False(t, verify(webhookSecret(map[string]string{KeyToken: testToken})), "an own secret replaces the derived one")
	require.False(t, verify(""))
	require.False(t, verify())
	require.False(t, verify("the-new-one", "the-new-one"), "ambiguous")
	require.False(t, verify("the-new-one", "x"))
	for _, secret := range []string{"the-new-one", "the-old-one", "the-oldest-one", newToken, webhookSecret(map[string]string{KeyToken: newToken})} {
		require.Contains(t, ch.Secrets(), secret, "the redactor must know what was ever in force")
	}
}

func TestDerivedSecretIsStable(t *testing.T) {
	// Written down: a change of the derivation would break every registered webhook.
	secret := webhookSecret(map[string]string{KeyToken: "1:a"})
	require.Equal(t, "H6-MrdZhoTOWXwkq9KrHlHgoWJmD2v1iHh5pzh5zdUA", secret)
	require.Regexp(t, secretForm, secret)
	require.NotEqual(t, secret, webhookSecret(map[string]string{KeyToken: "1:b"}))
}

func TestAddressesSurviveTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := address{
			chat:       rapid.Int64().Filter(func(i int64) bool { return i != 0 }).Draw(t, "chat"),
			thread:     rapid.Int64Range(0, 1<<53).Draw(t, "thread"),
			connection: rapid.StringMatching(`[A-Za-z0-9_-]{0,40}`).Draw(t, "connection"),
		}
		got, err := parseAddress(a.String())
		require.NoError(t, err)
		require.Equal(t, a, got)
		id := rapid.Int64Range(1, 1<<62).Draw(t, "id")
		at, gotID, err := parseMessageID(a.message(id))
		require.NoError(t, err)
		require.Equal(t, id, gotID)
		require.Equal(t, address{chat: a.chat, connection: a.connection}, at)
	})
	for _, wrong := range []string{"", "x", "0", "1/", "1/0", "1/-1", "1/x", "1@", "@a", "1:2:3"} {
		_, err := parseAddress(wrong)
		require.Error(t, err, wrong)
	}
	for _, wrong := range []string{"", "1", "1:", ":1", "1:0", "1:-5", "1:x", "update:5x", "update:5"} {
		_, _, err := parseMessageID(wrong)
		require.Error(t, err, wrong)
	}
}
