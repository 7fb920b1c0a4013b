package meta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// rig is a server with a page, an Instagram account and a webhook.
type rig struct {
	*Server
	t    *testing.T
	api  *httptest.Server
	hook *httptest.Server

	mu     sync.Mutex
	bodies []string
	answer func(n int) int // status of the n-th request to the webhook
}

func newRig(t *testing.T, change func(*Options)) *rig {
	r := &rig{t: t}
	opt := Options{
		AllowHTTP: true, RetryMin: time.Millisecond, RetryMax: 5 * time.Millisecond,
		Apps:     []AppSpec{{ID: "100", Secret: "secret", HumanAgent: true}, {ID: "200", Secret: "other"}},
		Accounts: []AccountSpec{{ID: "1", Token: "page-token", App: "100"}, {ID: "2", Token: "second", App: "100"}, {ID: "9", Instagram: true, Page: "1", Name: "shop"}},
	}
	if change != nil {
		change(&opt)
	}
	r.Server = New(opt)
	r.api = httptest.NewServer(r.Handler())
	r.hook = httptest.NewServer(http.HandlerFunc(r.webhook))
	t.Cleanup(func() {
		r.Close()
		r.api.Close()
		r.hook.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		goleak.VerifyNone(t)
	})
	return r
}

func (r *rig) webhook(w http.ResponseWriter, req *http.Request) {
	if req.Method == http.MethodGet {
		_, _ = io.WriteString(w, req.URL.Query().Get("hub.challenge"))
		return
	}
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, string(body))
	if r.answer != nil {
		w.WriteHeader(r.answer(len(r.bodies)))
	}
}

func (r *rig) got() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.bodies...)
}

// call makes a call and returns the status and, of an error, code and subcode.
func (r *rig) call(method, token, path, body string) (status, code, subcode int, out string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.api.URL+"/v25.0/"+path, strings.NewReader(body))
	require.NoError(r.t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	return r.do(req)
}

func (r *rig) do(req *http.Request) (status, code, subcode int, out string) {
	resp, err := http.DefaultClient.Do(req)
	require.NoError(r.t, err)
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(r.t, err)
	var e struct {
		Error struct {
			Code    int `json:"code"`
			Subcode int `json:"error_subcode"`
		} `json:"error"`
	}
	_ = json.Unmarshal(raw, &e)
	return resp.StatusCode, e.Error.Code, e.Error.Subcode, string(raw)
}

func (r *rig) subscribe(fields string) {
	r.t.Helper()
	status, _, _, out := r.call("POST", "100|secret", "100/subscriptions", fmt.Sprintf(`{"object":"page","callback_url":%q,"verify_token":"v","fields":%q}`, r.hook.URL, fields))
	require.Equal(r.t, 200, status, out)
	for _, page := range []string{"1", "2"} {
		require.NoError(r.t, r.SetSubscribed(page, "100", listOf(fields)...))
	}
}

func TestItRefusesWhatMetaRefuses(t *testing.T) {
	r := newRig(t, nil)
	_, err := r.Person("1", "77").Write(Words{Text: "hi"})
	require.NoError(t, err)
	require.NoError(t, r.Person("1", "78").Block())
	_, err = r.Person("9", "55").Write(Words{Text: "hi"})
	require.NoError(t, err)
	message := func(to, m string) string {
		return `{"recipient":{"id":"` + to + `"},"messaging_type":"RESPONSE","message":` + m + `}`
	}
	text := func(n int, s string) string { return `{"text":"` + strings.Repeat(s, n) + `"}` }
	button := `{"type":"postback","title":"A","payload":"a"}`
	for name, test := range map[string]struct {
		method, token, path, body string
		code, subcode             int
	}{
		"no token":                 {"GET", "", "me", "", 104, 0},
		"an unknown token":         {"GET", "nobody", "me", "", 190, 460},
		"a wrong app token":        {"GET", "100|wrong", "100/subscriptions", "", 190, 0},
		"another app's":            {"GET", "200|other", "100/subscriptions", "", 15, 0},
		"a wrong proof":            {"GET", "page-token", "me?appsecret_proof=00", "", 100, 0},
		"another page":             {"GET", "page-token", "2", "", 100, 0},
		"an unknown field":         {"GET", "page-token", "me?fields=shoe_size", "", 100, 0},
		"an unknown edge":          {"GET", "page-token", "me/friends", "", 100, 0},
		"no callback":              {"POST", "100|secret", "100/subscriptions", `{"object":"page","verify_token":"v","fields":"messages"}`, 100, 0},
		"an unknown object":        {"POST", "100|secret", "100/subscriptions", `{"object":"shoe","callback_url":"http://127.0.0.1:1/","verify_token":"v","fields":"messages"}`, 100, 0},
		"an unknown webhook field": {"POST", "100|secret", "100/subscriptions", `{"object":"page","callback_url":"http://127.0.0.1:1/","verify_token":"v","fields":"messages,shoes"}`, 100, 0},
		"nobody at the callback":   {"POST", "100|secret", "100/subscriptions", `{"object":"page","callback_url":"http://127.0.0.1:1/","verify_token":"v","fields":"messages"}`, 2200, 0},
		"page subscribed to shoes": {"POST", "page-token", "1/subscribed_apps", `{"subscribed_fields":"shoes"}`, 100, 0},

		"a stranger":             {"POST", "page-token", "me/messages", message("79", `{"text":"x"}`), 100, 2018001},
		"who blocked":            {"POST", "page-token", "me/messages", message("78", `{"text":"x"}`), 551, 1545041},
		"no content":             {"POST", "page-token", "me/messages", message("77", `{}`), 100, 0},
		"two contents":           {"POST", "page-token", "me/messages", message("77", `{"text":"x","attachment":{"type":"image","payload":{"url":"https://a.example.com/"}}}`), 100, 0},
		"a blank text":           {"POST", "page-token", "me/messages", message("77", `{"text":" "}`), 100, 0},
		"an unknown key":         {"POST", "page-token", "me/messages", message("77", `{"text":"x","colour":"red"}`), 100, 0},
		"a long text":            {"POST", "page-token", "me/messages", message("77", text(2001, "x")), 100, 0},
		"many bytes to Direct":   {"POST", "page-token", "me/messages", message("55", text(501, "я")), 100, 0},
		"14 quick replies":       {"POST", "page-token", "me/messages", message("77", `{"text":"x","quick_replies":[`+strings.TrimSuffix(strings.Repeat(`{"content_type":"text","title":"a","payload":"b"},`, 14), ",")+`]}`), 100, 0},
		"a long title":           {"POST", "page-token", "me/messages", message("77", `{"text":"x","quick_replies":[{"content_type":"text","title":"`+strings.Repeat("x", 21)+`","payload":"b"}]}`), 100, 0},
		"4 buttons":              {"POST", "page-token", "me/messages", message("77", `{"attachment":{"type":"template","payload":{"template_type":"button","text":"x","buttons":[`+strings.TrimSuffix(strings.Repeat(button+",", 4), ",")+`]}}}`), 100, 0},
		"a long button text":     {"POST", "page-token", "me/messages", message("77", `{"attachment":{"type":"template","payload":{"template_type":"button","text":"`+strings.Repeat("x", 641)+`","buttons":[`+button+`]}}}`), 100, 0},
		"11 cards":               {"POST", "page-token", "me/messages", message("77", `{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[`+strings.TrimSuffix(strings.Repeat(`{"title":"a","subtitle":"b"},`, 11), ",")+`]}}}`), 100, 0},
		"a bare card":            {"POST", "page-token", "me/messages", message("77", `{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[{"title":"a"}]}}}`), 100, 0},
		"an unknown upload":      {"POST", "page-token", "me/messages", message("77", `{"attachment":{"type":"image","payload":{"attachment_id":"5"}}}`), 100, 2018074},
		"a reply to nothing":     {"POST", "page-token", "me/messages", `{"recipient":{"id":"77"},"message":{"text":"x"},"reply_to":{"mid":"m_none"}}`, 100, 0},
		"an unknown tag":         {"POST", "page-token", "me/messages", `{"recipient":{"id":"77"},"message":{"text":"x"},"messaging_type":"MESSAGE_TAG","tag":"ACCOUNT_UPDATE"}`, 100, 0},
		"a tag without its type": {"POST", "page-token", "me/messages", `{"recipient":{"id":"77"},"message":{"text":"x"},"tag":"HUMAN_AGENT"}`, 100, 0},
		"an action and words":    {"POST", "page-token", "me/messages", `{"recipient":{"id":"77"},"message":{"text":"x"},"sender_action":"typing_on"}`, 100, 0},
		"a reaction of a page":   {"POST", "page-token", "me/messages", `{"recipient":{"id":"77"},"sender_action":"react","payload":{"message_id":"m","reaction":"love"}}`, 100, 0},
		"no JSON":                {"POST", "page-token", "me/messages", `{`, 100, 0},

		"a menu without a button":    {"POST", "page-token", "1/messenger_profile", `{"persistent_menu":[{"locale":"default","call_to_actions":[{"type":"postback","title":"a","payload":"b"}]}]}`, 100, 2018145},
		"a greeting without default": {"POST", "page-token", "1/messenger_profile", `{"greeting":[{"locale":"de_DE","text":"x"}]}`, 100, 0},
		"five ice breakers":          {"POST", "page-token", "1/messenger_profile", `{"ice_breakers":[{"locale":"default","call_to_actions":[` + strings.TrimSuffix(strings.Repeat(`{"question":"a","payload":"b"},`, 5), ",") + `]}]}`, 100, 0},
		"an http domain":             {"POST", "page-token", "1/messenger_profile", `{"whitelisted_domains":["http://a.example.com"]}`, 100, 0},
		"Direct's greeting":          {"POST", "page-token", "1/messenger_profile?platform=instagram", `{"greeting":[{"locale":"default","text":"x"}]}`, 100, 0},
		"debug by a page":            {"GET", "page-token", "debug_token?input_token=page-token", "", 100, 0},
		"debug of another app's":     {"GET", "200|other", "debug_token?input_token=page-token", "", 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			status, code, subcode, out := r.call(test.method, test.token, test.path, test.body)
			assert.GreaterOrEqual(t, status, 400, out)
			assert.Equal(t, []int{test.code, test.subcode}, []int{code, subcode}, out)
		})
	}
	for _, c := range r.Calls("", 0) {
		assert.NotContains(t, string(c.Params), "page-token")
		assert.NotContains(t, string(c.Params), "verify_token")
	}
}

func TestAnUploadIsWantedWholeAndOfItsType(t *testing.T) {
	r := newRig(t, nil)
	upload := func(mimeType string, end bool) (int, int, int, string) {
		var body bytes.Buffer
		form := multipart.NewWriter(&body)
		require.NoError(t, form.WriteField("message", `{"attachment":{"type":"image","payload":{"is_reusable":true}}}`))
		h := textproto.MIMEHeader{"Content-Disposition": {`form-data; name="filedata"; filename="a.png"`}, "Content-Type": {mimeType}}
		part, err := form.CreatePart(h)
		require.NoError(t, err)
		_, _ = part.Write([]byte("bytes"))
		if end {
			require.NoError(t, form.Close())
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.api.URL+"/v25.0/me/message_attachments", &body)
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer page-token")
		req.Header.Set("Content-Type", form.FormDataContentType())
		return r.do(req)
	}
	status, _, _, out := upload("image/png", true)
	assert.Equal(t, 200, status, out)
	assert.Contains(t, out, "attachment_id")
	_, code, subcode, _ := upload("text/plain", true)
	assert.Equal(t, []int{100, 2018047}, []int{code, subcode})
	_, code, _, _ = upload("image/png", false)
	assert.Equal(t, 100, code)
}

func TestAFailedWebhookComesAgainAndOthersDoNotWait(t *testing.T) {
	r := newRig(t, nil)
	r.subscribe("messages")
	r.answer = func(n int) int {
		if n <= 2 {
			return 503
		}
		return 200
	}
	_, err := r.Person("1", "77").Write(Words{Text: "first"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log, err := r.WaitDelivered(ctx, "100", 1)
	require.NoError(t, err)
	assert.Equal(t, []int{503, 503, 200}, []int{log[0].Status, log[1].Status, log[2].Status})
	got := r.got()
	assert.Equal(t, got[0][strings.Index(got[0], "messaging"):], got[2][strings.Index(got[2], "messaging"):], "the same again")
}

func TestABatchHoldsSeveralPages(t *testing.T) {
	r := newRig(t, nil)
	r.subscribe("messages")
	require.NoError(t, r.Hold("100"))
	for _, page := range []string{"1", "2", "1"} {
		_, err := r.Person(page, "77").Write(Words{Text: "x"})
		require.NoError(t, err)
	}
	n, err := r.Release("100")
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = r.WaitDelivered(ctx, "100", 3)
	require.NoError(t, err)
	var body struct {
		Entry []struct {
			ID        string
			Messaging []json.RawMessage
		}
	}
	require.Len(t, r.got(), 1)
	require.NoError(t, json.Unmarshal([]byte(r.got()[0]), &body))
	require.Len(t, body.Entry, 2)
	assert.Len(t, body.Entry[0].Messaging, 2)
}

func TestDeliveriesGoWrongAsAsked(t *testing.T) {
	r := newRig(t, nil)
	r.subscribe("messages")
	require.NoError(t, r.AddFault(Fault{Kind: FaultDuplicate, Times: 1}))
	require.NoError(t, r.AddFault(Fault{Kind: FaultReorder, Times: 1, Delay: 50}))
	for i := range 3 {
		_, err := r.Person("1", "77").Write(Words{Text: fmt.Sprintf("word-%d", i)})
		require.NoError(t, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := r.WaitDelivered(ctx, "100", 4)
	require.NoError(t, err)
	var order []string
	for _, b := range r.got() {
		order = append(order, b[strings.Index(b, "word-"):][:6])
	}
	assert.Equal(t, []string{"word-0", "word-0", "word-2", "word-1"}, order)
	assert.Error(t, r.AddFault(Fault{Kind: "explode"}))
}

func TestStandbyAndWhatIsNotSubscribed(t *testing.T) {
	r := newRig(t, nil)
	r.subscribe("messages,standby")
	p := r.Person("1", "77")
	mid, err := p.Write(Words{Text: "x"})
	require.NoError(t, err)
	require.NoError(t, p.React(mid, "love", "❤️")) // not subscribed
	r.SetStandby("1", true)
	_, err = p.Write(Words{Text: "to the other app"})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err = r.WaitDelivered(ctx, "100", 2)
	require.NoError(t, err)
	assert.Contains(t, r.got()[1], `"standby":[`)
	assert.NotContains(t, strings.Join(r.got(), ""), "reaction")
}
