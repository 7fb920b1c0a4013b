package telegram

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// webhookState makes the server keep a webhook as Telegram does.
type webhookState struct {
	info map[string]any
	sets int
}

func keepWebhook(a *api) *webhookState {
	s := &webhookState{info: object{"url": "", "pending_update_count": 0}}
	a.handle("getWebhookInfo", func(call) (int, string) {
		body, _ := json.Marshal(s.info)
		return 200, okBody(string(body))
	})
	a.handle("setWebhook", func(c call) (int, string) {
		s.sets++
		s.info = object{"url": c.Fields["url"], "max_connections": c.Fields["max_connections"], "allowed_updates": c.Fields["allowed_updates"], "pending_update_count": 0}
		return 200, okBody("true")
	})
	a.handle("deleteWebhook", func(call) (int, string) {
		s.info = object{"url": "", "pending_update_count": 0}
		return 200, okBody("true")
	})
	return s
}

func TestRegisterSetsWhatDiffersAndNothingElse(t *testing.T) {
	a, p := newAPI(t), New()
	state := keepWebhook(a)
	ch := a.load(t, p, nil)
	register := func(ch platform.Channel, registered string) {
		t.Helper()
		taken, err := p.Register(t.Context(), ch, registered)
		require.NoError(t, err)
		require.Empty(t, taken)
	}

	register(ch, "")
	require.Equal(t, 1, state.sets)
	fields := a.made("setWebhook")[0].Fields
	require.Equal(t, channelURL, fields["url"])
	require.Equal(t, self(ch).secret, fields["secret_token"])
	require.Equal(t, 40.0, fields["max_connections"])
	require.Contains(t, fields["allowed_updates"], "message_reaction", "Telegram leaves it out by itself")
	require.Subset(t, fields["allowed_updates"], []any{"business_connection", "chat_join_request"})
	require.NotContains(t, fields, "drop_pending_updates")

	register(ch, channelURL)
	require.Equal(t, 1, state.sets, "all as desired")

	rotated := a.load(t, p, func(c *document.Channel) { c.Credentials[KeyWebhookSecret] = "another" })
	register(rotated, channelURL)
	require.Equal(t, 2, state.sets, "the secret changed")
	register(rotated, channelURL)
	require.Equal(t, 2, state.sets)

	more := a.load(t, p, func(c *document.Channel) {
		c.Credentials[KeyWebhookSecret], c.Config = "another", json.RawMessage(`{"maxConnections":7}`)
	})
	register(more, channelURL)
	require.Equal(t, 3, state.sets, "maxConnections changed")

	state.info["allowed_updates"] = []string{"message"}
	register(more, channelURL)
	require.Equal(t, 4, state.sets, "somebody changed allowed_updates")

	state.info = object{"url": ""}
	register(more, channelURL)
	require.Equal(t, 5, state.sets, "somebody removed the webhook")

	state.info["last_error_date"] = time.Now().Add(time.Minute).Unix()
	state.info["last_error_message"] = "Wrong response from the webhook: 401 Unauthorized"
	register(more, channelURL)
	require.Equal(t, 6, state.sets, "our own secret is refused: Telegram has another one")

	fresh := New() // another process
	taken, err := fresh.Register(t.Context(), more, channelURL)
	require.NoError(t, err)
	require.Empty(t, taken)
	require.Equal(t, 7, state.sets, "it cannot know which secret stands")
}

func TestRegisterLeavesAStrangersWebhookAlone(t *testing.T) {
	a, p := newAPI(t), New()
	state := keepWebhook(a)
	ch := a.load(t, p, nil)
	state.info["url"] = "https://other.example.com/hook/secret-path"

	taken, err := p.Register(t.Context(), ch, channelURL)
	require.NoError(t, err)
	require.Equal(t, "https://other.example.com", taken, "its path is not shown: it may be a secret")
	require.Zero(t, state.sets)

	taken, err = p.Register(t.Context(), ch, "")
	require.NoError(t, err)
	require.Empty(t, taken)
	require.Equal(t, 1, state.sets, "a new Channel takes the bot over")

	const old = "https://old.example.com/webhooks/shop/bot"
	state.info["url"] = old
	taken, err = p.Register(t.Context(), ch, channelURL)
	require.NoError(t, err)
	require.Equal(t, "https://old.example.com", taken, "a channel of the same name in another cluster is a stranger")
	taken, err = p.Register(t.Context(), ch, old)
	require.NoError(t, err)
	require.Empty(t, taken)
	require.Equal(t, 2, state.sets, "the address that we set last is not")
}

func TestRegisterReportsWhatOnlyTelegramSees(t *testing.T) {
	a, p := newAPI(t), New()
	now := time.Unix(1_700_000_000, 0)
	p.now = func() time.Time { return now }
	state := keepWebhook(a)
	ch := a.load(t, p, nil)
	_, err := p.Register(t.Context(), ch, "")
	require.NoError(t, err)

	now = now.Add(time.Hour)
	state.info["pending_update_count"] = 3
	state.info["last_error_date"] = now.Add(-time.Minute).Unix()
	state.info["last_error_message"] = "SSL error {certificate verify failed} " + testToken
	_, err = p.Register(t.Context(), ch, channelURL)
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrRetryable, e.Class)
	require.True(t, e.NotDelivered, "Telegram has spoken: it is not out of reach")
	require.Equal(t, "registered, but Telegram cannot deliver 3 updates: SSL error {certificate verify failed} [redacted]", e.Reason)
	require.Equal(t, 1, state.sets)

	now = now.Add(time.Hour)
	_, err = p.Register(t.Context(), ch, channelURL)
	require.NoError(t, err, "an old error is over")
	state.info["last_error_date"] = now.Unix()
	state.info["pending_update_count"] = 0
	_, err = p.Register(t.Context(), ch, channelURL)
	require.NoError(t, err, "nothing waits: what failed came through since")

	a.refuse("getWebhookInfo", 502, "Bad Gateway")
	_, err = p.Register(t.Context(), ch, channelURL)
	require.ErrorAs(t, err, &e)
	require.False(t, e.NotDelivered, "Telegram has said nothing")
}

func TestRegisterRefusals(t *testing.T) {
	tests := map[string]wire.ErrorClass{
		"Bad Request: bad webhook: An HTTPS URL must be provided for webhook":               wire.ErrMisconfigured,
		"Bad Request: bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443": wire.ErrMisconfigured,
		"Bad Request: bad webhook: IP address 10.0.0.1 is reserved":                         wire.ErrMisconfigured,
		"Bad Request: bad webhook: Failed to resolve host: Name or service not known":       wire.ErrRetryable,
		"Bad Request: bad webhook: Connection timed out":                                    wire.ErrRetryable,
	}
	for description, class := range tests {
		a, p := newAPI(t), New()
		keepWebhook(a)
		a.refuse("setWebhook", 400, description)
		_, err := p.Register(t.Context(), a.load(t, p, nil), "")
		var e *platform.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, class, e.Class, description)
	}
	a, p := newAPI(t), New()
	_, err := p.Register(t.Context(), a.load(t, p, func(c *document.Channel) { c.WebhookURL = "" }), "")
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrMisconfigured, e.Class)
	require.Empty(t, a.made())
}

func TestUnregister(t *testing.T) {
	a, p := newAPI(t), New()
	state := keepWebhook(a)
	ch := a.load(t, p, nil)
	for webhook, removed := range map[string]bool{
		channelURL: true, "https://another-cluster.example.com/webhooks/shop/bot": false,
		"": false, "https://other.example.com/hook": false, "https://chat.example.com/webhooks/shop/bot2": false,
	} {
		a.reset()
		state.info = object{"url": webhook}
		require.NoError(t, p.Unregister(t.Context(), ch))
		calls := a.made("deleteWebhook")
		require.Equal(t, removed, len(calls) == 1, webhook)
		if removed {
			require.Equal(t, false, calls[0].Fields["drop_pending_updates"], "what waits is for the next owner")
		}
	}
	a.refuse("getWebhookInfo", 401, "Unauthorized")
	var e *platform.Error
	require.ErrorAs(t, p.Unregister(t.Context(), ch), &e)
	require.Equal(t, wire.ErrAuthInvalid, e.Class)
}

const profileConfig = `{"profile":{"name":"Shop","description":"Hello","commands":[{"command":"help","description":"Help"}],
	"localized":[{"languageCode":"de","shortDescription":"Laden","commands":[]}]}}`

func TestSyncProfileRepairsOnlyDifferences(t *testing.T) {
	a, p := newAPI(t), New()
	ch := a.load(t, p, withConfig(profileConfig))
	a.answer("getMyName", `{"name":"Shop"}`)
	a.answer("getMyDescription", `{"description":"Old"}`)
	a.answer("getMyShortDescription", `{"short_description":"Shop"}`)
	a.handle("getMyCommands", func(c call) (int, string) {
		if c.Fields["language_code"] == "de" {
			return 200, okBody(`[{"command":"alt","description":"Alt"}]`)
		}
		return 200, okBody(`[{"command":"help","description":"Help "}]`)
	})
	changed, err := p.SyncProfile(t.Context(), ch)
	require.NoError(t, err)
	require.Equal(t, []string{"description", "localized.de.commands", "localized.de.shortDescription"}, changed)
	require.Equal(t, object{"description": "Hello"}, a.made("setMyDescription")[0].Fields)
	require.Equal(t, object{"language_code": "de", "short_description": "Laden"}, a.made("setMyShortDescription")[0].Fields)
	require.Equal(t, object{"language_code": "de"}, a.made("deleteMyCommands")[0].Fields)
	require.Empty(t, a.made("setMyName", "setMyCommands"))

	a.reset()
	changed, err = p.SyncProfile(t.Context(), a.load(t, p, nil))
	require.NoError(t, err)
	require.Empty(t, changed)
	require.Empty(t, a.made(), "what the Channel does not name is not even looked at")
}

func TestSyncProfileGoesOnAfterARefusal(t *testing.T) {
	a, p := newAPI(t), New()
	ch := a.load(t, p, withConfig(`{"profile":{"name":"New","commands":[{"command":"help","description":"Help"}],"localized":[{"languageCode":"de","description":"Neu"}]}}`))
	a.answer("getMyName", `{"name":"Old"}`)
	a.answer("getMyCommands", `[]`)
	a.answer("getMyDescription", `{"description":""}`)
	a.handle("setMyName", func(call) (int, string) {
		return 429, refused(429, "Too Many Requests: retry after 80000", `{"retry_after":80000}`).Body
	})
	changed, err := p.SyncProfile(t.Context(), ch)
	var e *platform.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, wire.ErrRateLimited, e.Class)
	require.Equal(t, 80000*time.Second, e.RetryAfter)
	require.Equal(t, []string{"commands", "localized.de.description"}, changed)
}

func TestSyncProfileDoesNotRemoveWhatOnlyFallsBack(t *testing.T) {
	for german, sets := range map[string]int{"For everybody": 0, "Nur hier": 1} {
		a, p := newAPI(t), New()
		ch := a.load(t, p, withConfig(`{"profile":{"localized":[{"languageCode":"de","description":""}]}}`))
		a.handle("getMyDescription", func(c call) (int, string) {
			if c.Fields["language_code"] == "de" {
				return 200, okBody(fmt.Sprintf(`{"description":%q}`, german))
			}
			return 200, okBody(`{"description":"For everybody"}`)
		})
		_, err := p.SyncProfile(t.Context(), ch)
		require.NoError(t, err)
		require.Len(t, a.made("setMyDescription"), sets)
	}
}
