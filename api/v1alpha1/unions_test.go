package v1alpha1_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// others are manifests with what cannot stand beside something in full.
var others = map[string][]string{
	"ConversationStore": {`
metadata: {name: full, namespace: default}
spec:
  postgres: {dsnSecretRef: {name: database}, replicas: 3, port: 6432}`},
	"Bot": {`
metadata: {name: full, namespace: default}
spec:
  webhook:
    url: https://bot.example.com/turns
    secretRef: {name: bot}
    timeout: 5s
    handover: {keywords: {en: [agent], de: [mensch]}, text: {en: One moment., de: Moment.}, defaultLanguage: en, maxTurns: 12}`},
	"SurveyCampaign": {holdoutCampaign},
	"Channel": {`
metadata: {name: full, namespace: default}
spec:
  platform: messenger
  messenger:
    pageID: "1234567890"
    appID: "987654321"
    graphVersion: v26.0
    humanAgent: true
    profile:
      greeting: [{locale: default, text: "Hello {{user_first_name}}"}, {locale: de_DE, text: Hallo}]
      getStarted: {payload: START}
      iceBreakers:
        - {locale: default, questions: [{question: "Where is my parcel?", payload: PARCEL}]}
      persistentMenu:
        - locale: default
          composerInputDisabled: true
          items:
            - {type: Postback, title: Track, payload: TRACK}
            - {type: WebURL, title: Shop, url: "https://shop.example.com"}
      whitelistedDomains: ["https://shop.example.com"]
  credentials: {secretRef: {name: messenger-main}}`, `
metadata: {name: full, namespace: default}
spec:
  platform: instagram
  instagram:
    accountID: "17841400000000000"
    appID: "987654321"
    login: FacebookLogin
    pageID: "1234567890"
    graphVersion: v26.0
    humanAgent: true
    profile:
      iceBreakers: []
      persistentMenu:
        - {locale: default, items: [{type: WebURL, title: Shop, url: "https://shop.example.com"}]}
  credentials: {secretRef: {name: instagram-main}}`, `
metadata: {name: full, namespace: default}
spec:
  platform: email
  email:
    address: support@shop.example
    displayName: The Shop
    imap: {host: imap.shop.example, port: 993, tls: Implicit, mailbox: Support, markSeen: true}
    smtp: {host: smtp.shop.example, port: 587, tls: StartTLS}
    replyAddress: reply@shop.example
    plusAddressing: true
    subject: Your order
    auth:
      type: OAuth2
      username: support
      oauth2: {tokenURL: "https://login.example.com/token", clientID: "1", scopes: ["https://outlook.office365.com/.default"]}
    caBundle: "-----BEGIN CERTIFICATE-----"
  credentials: {secretRef: {name: mail}}`},
}

func fulls(kind string) []string { return append([]string{full[kind]}, others[kind]...) }

// TestEmptyProfileListsStay: an empty list removes what stands at the platform,
// and a missing one leaves it alone.
func TestEmptyProfileListsStay(t *testing.T) {
	for _, text := range []string{
		`{"greeting":[],"getStarted":{},"iceBreakers":[],"persistentMenu":[],"whitelistedDomains":[]}`, `{}`,
	} {
		var profile v1alpha1.MessengerProfile
		require.NoError(t, json.Unmarshal([]byte(text), &profile))
		assert.JSONEq(t, text, toJSON(t, profile))
		assert.JSONEq(t, text, toJSON(t, profile.DeepCopy()))
	}
	for _, text := range []string{`{"iceBreakers":[],"persistentMenu":[]}`, `{}`} {
		var profile v1alpha1.InstagramProfile
		require.NoError(t, json.Unmarshal([]byte(text), &profile))
		assert.JSONEq(t, text, toJSON(t, profile))
		assert.JSONEq(t, text, toJSON(t, profile.DeepCopy()))
	}
}

func TestAccountAndApp(t *testing.T) {
	for _, tt := range []struct {
		channel      v1alpha1.ChannelSpec
		account, app string
		humanAgent   bool
	}{
		{v1alpha1.ChannelSpec{}, "", "", false},
		{v1alpha1.ChannelSpec{Telegram: &v1alpha1.TelegramChannel{BotID: "1"}}, "1", "", false},
		{v1alpha1.ChannelSpec{Messenger: &v1alpha1.MessengerChannel{PageID: "1", AppID: "2", HumanAgent: true}}, "1", "2", true},
		{v1alpha1.ChannelSpec{Instagram: &v1alpha1.InstagramChannel{AccountID: "1", AppID: "2", PageID: "3"}}, "1", "2", false},
		{v1alpha1.ChannelSpec{Email: &v1alpha1.EmailChannel{Address: "a@b.example"}}, "a@b.example", "", false},
	} {
		ch := v1alpha1.Channel{Spec: tt.channel}
		assert.Equal(t, tt.account, ch.Account())
		assert.Equal(t, tt.app, ch.App())
		assert.Equal(t, tt.humanAgent, ch.HumanAgent())
	}
}
