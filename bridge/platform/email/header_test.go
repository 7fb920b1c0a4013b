package email

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// TestAutomated: headers of real mail, and whether a person wrote it.
func TestAutomated(t *testing.T) {
	report := &node{Type: "multipart/report", Params: map[string]string{"report-type": "feedback-report"}}
	for name, tt := range map[string]struct {
		header string
		body   *node
		want   message.Automated
	}{
		"a person":                   {"From: ana@customer.test\nSubject: Autumn reply", nil, ""},
		"a person, RFC 3834":         {"From: ana@customer.test\nAuto-Submitted: no", nil, ""},
		"a person on Exchange":       {"From: ana@customer.test\nX-Auto-Response-Suppress: DR, RN, NRN\nX-MS-Exchange-Organization-SCL: 0", nil, ""},
		"a person, first class":      {"From: ana@customer.test\nPrecedence: first-class", nil, ""},
		"vacation (RFC 5230)":        {"From: bob@customer.test\nAuto-Submitted: auto-replied (vacation)", nil, message.AutomatedReply},
		"Exchange, out of office":    {"From: bob@customer.test\nSubject: Automatic reply: x\nAuto-Submitted: auto-generated\nX-Auto-Response-Suppress: All", nil, message.AutomatedReply},
		"Gmail, out of office":       {"From: bob@gmail.com\nSubject: Re: x\nPrecedence: bulk\nX-Autoreply: yes\nAuto-Submitted: auto-replied", nil, message.AutomatedReply},
		"only the subject says it":   {"From: bob@customer.test\nSubject: =?utf-8?Q?Automatische_Antwort=3A_Urlaub?=", nil, message.AutomatedReply},
		"with a colon of China":      {"From: bob@customer.test\nSubject: =?utf-8?B?6Ieq5Yqo5Zue5aSN77ya5L2g5aW9?=", nil, message.AutomatedReply},
		"in Russian":                 {"From: bob@customer.test\nSubject: Автоответ: меня нет", nil, message.AutomatedReply},
		"in Russian, one word":       {"From: bob@customer.test\nSubject: Автоответ", nil, message.AutomatedReply},
		"in French, with its space":  {"From: bob@customer.test\nSubject: Réponse automatique : absence", nil, message.AutomatedReply},
		"Exchange of old":            {"From: bob@customer.test\nSubject: Out of Office AutoReply: x", nil, message.AutomatedReply},
		"a person who buys chairs":   {"From: ana@customer.test\nSubject: Out of office chairs wanted", nil, ""},
		"a person on machines":       {"From: ana@customer.test\nSubject: Automatic reply does not work", nil, ""},
		"a longer word":              {"From: ana@customer.test\nSubject: Автоответчик: цена", nil, ""},
		"old autoresponder":          {"From: bob@customer.test\nX-Autorespond: x", nil, message.AutomatedReply},
		"Precedence of old":          {"From: bob@customer.test\nPrecedence: auto_reply", nil, message.AutomatedReply},
		"cron":                       {"From: root@host.test\nAuto-Submitted: auto-generated", nil, message.AutomatedGenerated},
		"Jira":                       {"From: jira@customer.test\nAuto-Submitted: auto-generated\nPrecedence: bulk", nil, message.AutomatedBulk},
		"GitHub":                     {"From: notifications@github.com\nList-ID: a/b <b.a.github.com>\nPrecedence: list", nil, message.AutomatedList},
		"Mailman":                    {"From: carl@customer.test\nList-Id: <l.lists.test>\nList-Unsubscribe: <mailto:x@y>", nil, message.AutomatedList},
		"newsletter":                 {"From: deals@ads.test\nList-Unsubscribe: <https://ads.test/u>", nil, message.AutomatedBulk},
		"no reply":                   {"From: No Reply <no-reply@bank.test>", nil, message.AutomatedGenerated},
		"do not reply":               {"From: donotreply+42@bank.test", nil, message.AutomatedGenerated},
		"contact form":               {"From: no-reply@www.test\nReply-To: Ana <ana@customer.test>\nSubject: help", nil, ""},
		"form of our own domain":     {"From: noreply@shop.test\nReply-To: ana@customer.test", nil, ""},
		"nobody in Reply-To":         {"From: no-reply@bank.test\nReply-To: do-not-reply@bank.test", nil, message.AutomatedGenerated},
		"we in Reply-To":             {"From: no-reply@bank.test\nReply-To: shop@shop.test", nil, message.AutomatedGenerated},
		"a form that says it is one": {"From: no-reply@www.test\nReply-To: ana@customer.test\nAuto-Submitted: auto-generated", nil, message.AutomatedGenerated},
		"owner of a list":            {"From: owner-news@lists.test", nil, message.AutomatedGenerated},
		"request of a list":          {"From: news-request@lists.test", nil, message.AutomatedGenerated},
		"null sender":                {"Return-Path: <>\nFrom: bob@customer.test", nil, message.AutomatedGenerated},
		"calendar of Exchange":       {"From: bob@customer.test\nX-Auto-Response-Suppress: OOF", nil, message.AutomatedGenerated},
		"bounce without a report":    {"Return-Path: <>\nFrom: MAILER-DAEMON@host.test", nil, message.AutomatedBounce},
		"Exim":                       {"From: Mailer-Daemon@host.test\nX-Failed-Recipients: a@b.test", nil, message.AutomatedBounce},
		"complaint (ARF)":            {"From: fbl@isp.test", report, message.AutomatedGenerated},
		"our own, by a forwarding":   {"From: ana@customer.test\nX-Loop: Shop@Shop.Test\nAuto-Submitted: auto-replied", nil, message.AutomatedLoop},
		"somebody else's loop mark":  {"From: ana@customer.test\nX-Loop: other@other.test", nil, ""},
		"our own Google group":       {"From: \"'Ana' via Shop\" <shop@shop.test>\nReply-To: ana@customer.test\nPrecedence: list\nList-ID: <shop.shop.test>\nList-Unsubscribe: <mailto:x>", nil, ""},
		"our own list, other field":  {"From: ana@customer.test\nList-Post: <https://groups.test>, <mailto:shop@shop.test>", nil, ""},
	} {
		require.Equal(t, tt.want, automated(parseHeader(crlf(tt.header+"\n\n")), tt.body, testAccount), name)
	}
}

func TestAddresses(t *testing.T) {
	for value, want := range map[string][]address{
		`Ana Lima <Ana@Customer.TEST>`:                           {{"Ana Lima", "ana@customer.test"}},
		`"Lima, Ana" <ana@customer.test>, bob@b.test`:            {{"Lima, Ana", "ana@customer.test"}, {"", "bob@b.test"}},
		`=?utf-8?B?QW5h?= <ana@customer.test>`:                   {{"Ana", "ana@customer.test"}},
		`=?klingon?Q?Ana?= <ana@customer.test>`:                  {{"Ana", "ana@customer.test"}},
		`=?iso-2022-kr?B?GyQpQw4+SDNnDw==?= <ana@customer.test>`: {{"안녕", "ana@customer.test"}},
		`Ana Lima (work) <ana@customer.test>`:                    {{"Ana Lima", "ana@customer.test"}},
		`Ana @ Home <ana@customer.test>`:                         {{"Ana @ Home", "ana@customer.test"}},
		`<<ana@customer.test>`:                                   {{"", "ana@customer.test"}},
		`ana@customer.test (Ana)`:                                {{"Ana", "ana@customer.test"}},
		`Ana <ana@bücher.test>`:                                  {{"Ana", "ana@xn--bcher-kva.test"}},
		`undisclosed-recipients:;`:                               nil,
		``:                                                       nil,
		`nobody`:                                                 nil,
		"Friends: a@b.test, c@d.test;":                           {{"", "a@b.test"}, {"", "c@d.test"}},
	} {
		got := parseHeader([]byte("From: " + value + "\r\n\r\n")).addresses("from")
		for i := range got {
			got[i].name = strings.TrimSpace(got[i].name)
		}
		require.Equal(t, want, got, value)
	}
}

func TestFileNames(t *testing.T) {
	for want, params := range map[string]map[string]string{
		"plain.pdf":       {"filename": "plain.pdf"},
		"Größe.pdf":       {"filename": "=?utf-8?Q?Gr=C3=B6=C3=9Fe.pdf?="},
		"Gr\u00f6sse.pdf": {"filename*": "iso-8859-1'de'Gr%F6sse.pdf"},
		"one two.pdf":     {"filename*0": "one ", "filename*1": "two.pdf"},
		"é 100%.pdf":      {"filename*0*": "utf-8''%C3%A9 ", "filename*1": "100%.pdf"},
		"__etc_passwd":    {"filename": "\\/etc/passwd"},
		"ab":              {"filename": "a\r\nb"},
		"raw é":           {"filename": "raw \xe9"},
		"odd'name":        {"filename*": "odd'name"},
	} {
		n := node{DispositionParams: params}
		require.Equal(t, want, n.fileName())
		named := map[string]string{}
		for k, v := range params {
			named[strings.Replace(k, "filename", "name", 1)] = v
		}
		n = node{Params: named}
		require.Equal(t, want, n.fileName(), "of the type")
	}
}

func TestIDs(t *testing.T) {
	require.Equal(t, []string{"a@b", "c@d"}, ids("<a@b> (comment)\t<c@d> <a@b>"))
	require.Equal(t, []string{"a@b"}, ids("a@b"))
	require.Equal(t, []string{"ab@c"}, ids("<a b@c>"))
	require.Empty(t, ids("Your message of Friday", "", "<>", "<"+strings.Repeat("x", maxID+1)+">"))
	var long []string
	for i := range 100 {
		long = append(long, itoa(i))
	}
	require.Len(t, shorten(long), maxReferences)
	require.Equal(t, []string{"0", "1", "2", "83"}, shorten(long)[:4])
	require.Equal(t, []string{"a@b"}, sendable([]string{"a@b", "derived:00", "a b", "a\r\nBcc: x", "<x>", "ü@x", ""}))

	id := messageID(testDelivery, 0, testAccount)
	require.True(t, isOwn(id, testAccount))
	require.True(t, isOwn(id, "shop@SHOP.test"))
	for _, other := range []string{"", "x@shop.test", strings.ToLower(id), strings.Replace(id, "shop.test", "other.test", 1), id + ".evil.test"} {
		require.False(t, isOwn(other, testAccount), other)
	}
	require.Equal(t, id, tokenID([]string{"Shop <" + withToken(testAccount, testDelivery) + ">"}, testAccount))
	require.Equal(t, testAccount, withToken(testAccount, "no ULID"))
	long64 := strings.Repeat("a", 60) + "@shop.test"
	require.Equal(t, long64, withToken(long64, testDelivery), "a local part has 64 bytes at most")
	require.Empty(t, tokenID([]string{"shop+x@shop.test", "shop@shop.test"}, testAccount))
	require.False(t, sentAt(testDelivery).IsZero())
}

func TestStatusReason(t *testing.T) {
	require.Equal(t, "5.1.1: the mailbox does not exist", statusReason("5.1.1"))
	require.Equal(t, "5.7.509: the server refuses the mail", statusReason("5.7.509"))
	require.Equal(t, "5.9.9: the mail came back", statusReason("5.9.9"))
	require.Equal(t, "the mail came back", statusReason(""))
}

func TestConfig(t *testing.T) {
	good := Config{Address: testAccount, IMAP: IMAP{Server: Server{Host: "imap.shop.test"}}, SMTP: Server{Host: "smtp.shop.test"}}
	require.NoError(t, good.check(testAccount, false))
	d := good.withDefaults()
	require.Equal(t, Server{Host: "imap.shop.test", Port: 993, TLS: TLSImplicit}, d.IMAP.Server)
	require.Equal(t, Server{Host: "smtp.shop.test", Port: 465, TLS: TLSImplicit}, d.SMTP)
	require.Equal(t, Server{Port: 587, TLS: TLSStart}, Server{Port: 587}.withDefaults(465, 587))
	require.Equal(t, Server{Port: 587, TLS: TLSStart}, Server{TLS: TLSStart}.withDefaults(465, 587))
	require.Equal(t, Server{Port: 2465, TLS: TLSImplicit}, Server{Port: 2465}.withDefaults(465, 587))
	for field, change := range map[string]func(*Config){
		"email.address":              func(c *Config) { c.Address = "other@shop.test" },
		"email.replyAddress":         func(c *Config) { c.ReplyAddress = "x\r\nBcc: y@z" },
		"email.imap.host":            func(c *Config) { c.IMAP.Host = "imap.shop.test:993" },
		"email.smtp.host":            func(c *Config) { c.SMTP.Host = "" },
		"email.smtp.port":            func(c *Config) { c.SMTP.Port = 70000 },
		"email.imap.tls":             func(c *Config) { c.IMAP.TLS = TLSNone },
		"email.smtp.tls":             func(c *Config) { c.SMTP.TLS = "Maybe" },
		"email.auth.type":            func(c *Config) { c.Auth = &Auth{Type: "Kerberos"} },
		"email.auth.oauth2":          func(c *Config) { c.Auth = &Auth{OAuth2: &OAuth2{}} },
		"email.auth.oauth2.clientID": func(c *Config) { c.Auth = &Auth{Type: AuthOAuth2, OAuth2: &OAuth2{TokenURL: "https://a.test"}} },
		"email.auth.oauth2.tokenURL": func(c *Config) {
			c.Auth = &Auth{Type: AuthOAuth2, OAuth2: &OAuth2{ClientID: "1", TokenURL: "http://a.test"}}
		},
	} {
		bad := good
		change(&bad)
		require.ErrorContains(t, bad.check(testAccount, false), field+":")
	}
}

// TestAnswered: the mail of ours that is answered is found where programs and
// servers on the way leave it.
func TestAnswered(t *testing.T) {
	own := messageID(testDelivery, 0, testAccount)
	older := messageID("01JD3M9ZK6X4Y8W2V5T7R9Q1NA", 0, testAccount)
	token := "To: " + withToken(testAccount, testDelivery) + "\n"
	for name, tt := range map[string]struct{ header, want string }{
		"In-Reply-To":                       {"In-Reply-To: <" + own + ">\nReferences: <" + older + ">\n", own},
		"the last of References":            {"References: <a@b> <c@d>\n", "c@d"},
		"the last of ours in References":    {"In-Reply-To: <0100x@email.amazonses.com>\nReferences: <" + older + "> <" + own + "> <0100x@email.amazonses.com>\n", own},
		"the token beside an id of a relay": {token + "In-Reply-To: <0100x@email.amazonses.com>\nReferences: <0100x@email.amazonses.com>\n", own},
		"only the token":                    {token, own},
		"another mail of the customer":      {"To: shop@shop.test\nIn-Reply-To: <first@customer.test>\nReferences: <zero@customer.test>\n", "first@customer.test"},
		"ours before the token":             {token + "In-Reply-To: <" + older + ">\n", older},
		"nothing":                           {"To: shop@shop.test\n", ""},
	} {
		require.Equal(t, tt.want, answered(parseHeader(crlf("From: ana@customer.test\n"+tt.header+"\n")), testAccount), name)
	}
}
