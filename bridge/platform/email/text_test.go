package email

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"pgregory.net/rapid"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// TestTrimReply: how the programs of the world quote, and what is left.
func TestTrimReply(t *testing.T) {
	for name, tt := range map[string]struct{ mail, want string }{
		"nothing to cut":       {"Hello,\n\nwhere is it?\n\nAna", "Hello,\n\nwhere is it?\n\nAna"},
		"gmail":                {"9\n\nOn Fri, Nov 20, 2026 at 9:58 AM Shop <s@shop.test> wrote:\n\n> How likely?\n> \n> --\n> Shop\n", "9"},
		"gmail, broken line":   {"9\n\nOn Fri, Nov 20, 2026 at 9:58 AM The Shop of Somebody\n<s@shop.test> wrote:\n> How likely?", "9"},
		"german":               {"Ja\n\nAm 20.11.26 um 09:58 schrieb Shop:\n> Gut?", "Ja"},
		"german, Apple":        {"Ja\n\n> Am 20.11.2026 um 09:58 schrieb Shop <s@shop.test>:\n> \n> Gut?", "Ja"},
		"french":               {"Oui\n\nLe ven. 20 nov. 2026 à 09:58, Shop <s@shop.test> a écrit :\n> Bien ?", "Oui"},
		"spanish":              {"Sí\n\nEl vie, 20 nov 2026 a las 9:58, Shop (<s@shop.test>) escribió:\n\n> ¿Bien?", "Sí"},
		"italian":              {"Sì\n\nIl giorno ven 20 nov 2026 alle ore 09:58 Shop <s@shop.test> ha scritto:\n> Bene?", "Sì"},
		"dutch":                {"Ja\n\nOp vr 20 nov 2026 om 09:58 schreef Shop <s@shop.test>:\n> Goed?", "Ja"},
		"portuguese":           {"Sim\n\nEm sex., 20 de nov. de 2026 às 09:58, Shop <s@shop.test> escreveu:\n> Bom?", "Sim"},
		"polish":               {"Tak\n\npt., 20 lis 2026 o 09:58 Shop <s@shop.test> napisał(a):\n> Dobrze?", "Tak"},
		"russian":              {"Да\n\nпт, 20 нояб. 2026 г. в 09:58, Shop <s@shop.test>:\n> Хорошо?", "Да"},
		"swedish":              {"Ja\n\nDen fre 20 nov. 2026 kl 09:58 skrev Shop <s@shop.test>:\n> Bra?", "Ja"},
		"japanese":             {"はい\n\n2026年11月20日(金) 9:58 Shop <s@shop.test>:\n\n> いいですか", "はい"},
		"chinese":              {"好\n\nShop <s@shop.test> 于2026年11月20日周五 09:58写道：\n> 好吗", "好"},
		"outlook":              {"Yes\n\n-----Original Message-----\nFrom: Shop\nSent: Friday\nTo: Ana\n\nGood?", "Yes"},
		"outlook, german":      {"Ja\n\nVon: Shop <s@shop.test>\nGesendet: Freitag, 20. November 2026 09:58\nAn: Ana\nBetreff: Gut?\n\nGut?", "Ja"},
		"outlook on the web":   {"Yes\n\n________________________________\nFrom: Shop <s@shop.test>\nSent: Friday\nTo: Ana\nSubject: x\n\nGood?", "Yes"},
		"outlook, bold":        {"Yes\n\n*From:* Shop\n*Sent:* Friday\n*To:* Ana\n\nGood?", "Yes"},
		"yahoo, no marks":      {"Yes\n\nOn Friday, November 20, 2026 at 09:58:00 AM GMT, Shop <s@shop.test> wrote:\n\nGood?\nThe Shop", "Yes"},
		"help desk":            {"Yes\n\n##- Please type your reply above this line -##\n\nYour ticket", "Yes"},
		"signature":            {"Yes\n-- \nAna\nBoss of it all", "Yes"},
		"iPhone":               {"Yes\n\nSent from my iPhone\n\n> On 20 Nov 2026, at 09:58, Shop <s@shop.test> wrote:\n> \n> Good?", "Yes"},
		"iPhone, german":       {"Ja\n\nVon meinem iPhone gesendet", "Ja"},
		"outlook for phones":   {"Yes\n\nGet Outlook for iOS<https://aka.ms/o0ukef>", "Yes"},
		"signature and quote":  {"Yes\n\n-- \nAna\n\nOn Fri, Nov 20, 2026 at 9:58 AM Shop <s@shop.test> wrote:\n> Good?", "Yes"},
		"below the quote":      {"On Fri, Nov 20, 2026 at 9:58 AM Shop <s@shop.test> wrote:\n> Good?\n\nYes, very.\n-- \nAna", "Yes, very."},
		"between the quotes":   {"Hi\n> Which size?\nM\n> Which colour?\nRed\n", "Hi\n> Which size?\nM\n> Which colour?\nRed"},
		"between, with a rest": {"> Which size?\nM\n> Which colour?\nRed\n> Thank you\n> The Shop", "> Which size?\nM\n> Which colour?\nRed"},
		"forwarded":            {"See below\n\n---------- Forwarded message ---------\nFrom: X <x@y.test>\nDate: Fri\nSubject: z\n\nText", "See below\n\n---------- Forwarded message ---------\nFrom: X <x@y.test>\nDate: Fri\nSubject: z\n\nText"},
		"only a quote":         {"> Good?\n> The Shop", "> Good?\n> The Shop"},
		"only a signature":     {"-- \nAna", "-- \nAna"},
		"people write so":      {"My colleague wrote:\nplease send it again.\nSo do I.", "My colleague wrote:\nplease send it again.\nSo do I."},
		"a list with dashes":   {"Please send\n--\nfive\n> of these\nand six", "Please send\n--\nfive\n> of these\nand six"},
		"from somewhere":       {"From: Berlin\nTo: Hamburg\nhow much?", "From: Berlin\nTo: Hamburg\nhow much?"},
	} {
		require.Equal(t, tt.want, trimReply(normalise(tt.mail)), name)
	}
}

// TestTrimNeverInvents: what is left are lines of the mail, in their order, and
// something is left.
func TestTrimNeverInvents(t *testing.T) {
	line := rapid.SampledFrom([]string{"", "> quoted", ">> deeper", "own words", "On Fri, 20 Nov 2026 9:58 Shop <s@shop.test> wrote:", "-- ", "Sent from my iPhone",
		"-----Original Message-----", "From: a", "Sent: b", "________________________________", "My friend wrote:"})
	rapid.Check(t, func(t *rapid.T) {
		mail := normalise(strings.Join(rapid.SliceOfN(line, 1, 12).Draw(t, "lines"), "\n"))
		got := trimReply(mail)
		require.Contains(t, mail, got)
		require.Equal(t, strings.TrimSpace(mail) == "", strings.TrimSpace(got) == "")
		require.Equal(t, got, trimReply(mail))
	})
}

func TestHTMLBecomesText(t *testing.T) {
	for html, want := range map[string]string{
		"<p>One</p><p>Two<br>three</p>":                                                   "One\n\nTwo\nthree",
		"a  b\n c&nbsp;d &lt;e&gt; &euro;":                                                "a b c d <e> €",
		"<div>One</div><div><br></div><div>Two</div>":                                     "One\n\nTwo",
		"<ul><li>One<li>Two</ul>after":                                                    "- One\n- Two\nafter",
		"<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>":                 "a b\nc",
		`<a href="https://shop.test/x">here</a> and <a href="https://a.test/">a.test</a>`: "here <https://shop.test/x> and a.test",
		`<a href="javascript:alert(1)">here</a>`:                                          "here",
		"<blockquote>One<blockquote>Two</blockquote></blockquote>Three":                   "> One\n> >\n> > Two\n\nThree",
		"<style>x{}</style><script>x()</script><title>t</title>text<!-- no -->":           "text",
		`<span style="display: none">hidden</span><i hidden>too</i>shown`:                 "shown",
		"<pre>a\n  b</pre>":                 "a\n  b",
		`<img src="cid:x" alt="A picture">`: "A picture",
		"<b>bo</b>ld <i>it</i>alic":         "bold italic",
		"unclosed <p>one <b>two":            "unclosed\n\none two",
		"":                                  "",
	} {
		require.Equal(t, want, normalise(htmlText(html)), html)
	}
}

// TestHostileTextsTakeNoTime: what is made to hurt is done in a moment.
func TestHostileTextsTakeNoTime(t *testing.T) {
	started := time.Now()
	for _, text := range []string{
		strings.Repeat("On a b c d wrote:\n", 10_000), strings.Repeat("x 10:10 a@b:\n> q\n", 10_000), strings.Repeat("From: a\n", 20_000),
		strings.Repeat("-- \n> q\n", 20_000), strings.Repeat("a ", 100_000), strings.Repeat("____________\n", 10_000), strings.Repeat(":", maxTextPart),
	} {
		trimReply(text)
	}
	for _, html := range []string{strings.Repeat("<div>", 50_000), strings.Repeat("<blockquote>a", 5_000), strings.Repeat("<a href=https://x>", 5_000), strings.Repeat("&nbsp;", 40_000), strings.Repeat("<table><tr><td>", 5_000)} {
		trimReply(normalise(htmlText(html)))
	}
	require.Less(t, time.Since(started), time.Minute) // a second or two; quadratic ones would take minutes
}

// TestEveryCharset: whatever a charset can write arrives.
func TestEveryCharset(t *testing.T) {
	for name, text := range map[string]string{
		"utf-8": "Grüße 👋", "us-ascii": "plain", "iso-8859-1": "Grüße", "iso-8859-2": "Zażółć", "iso-8859-5": "Привет", "iso-8859-7": "Γειά", "iso-8859-8": "שלום",
		"iso-8859-9": "İstanbul", "iso-8859-15": "5 €", "windows-1250": "Žluťoučký", "windows-1251": "Привет", "windows-1252": "“5 €”", "windows-1253": "Γειά",
		"windows-1254": "İstanbul", "windows-1255": "שלום", "windows-1256": "مرحبا", "windows-1257": "Ąžuolas", "windows-1258": "Vi", "windows-874": "สวัสดี",
		"koi8-r": "Привет", "koi8-u": "Привіт", "ibm866": "Привет", "macintosh": "Grüße", "gb2312": "你好", "gbk": "你好", "gb18030": "你好👋", "big5": "你好",
		"shift_jis": "こんにちは", "euc-jp": "こんにちは", "iso-2022-jp": "こんにちは", "euc-kr": "안녕하세요", "ks_c_5601-1987": "안녕하세요", "utf-16le": "Grüße", "utf-16be": "Grüße",
		"tis-620": "สวัสดี", "cp1252": "Grüße", "latin1": "Grüße", "x-sjis": "こんにちは",
	} {
		encoding, err := htmlindex.Get(name)
		if err != nil {
			encoding, err = ianaindex.MIME.Encoding(name)
		}
		require.NoError(t, err, name)
		raw := []byte(text)
		if encoding != nil {
			raw, err = encoding.NewEncoder().Bytes([]byte(text))
			require.NoError(t, err, name)
		}
		for encoded, content := range map[string][]byte{"8bit": raw, "base64": []byte(base64.StdEncoding.EncodeToString(raw)), "BASE64": []byte(base64.StdEncoding.EncodeToString(raw) + "\r\n")} {
			n := node{Type: "text/plain", Params: map[string]string{"charset": name}, Encoding: encoded, Content: content}
			require.Equal(t, text, n.text(), "%s in %s", name, encoded)
		}
	}
	// What no registry of names has an encoder for, as bytes.
	for name, raw := range map[string]string{
		"cp437": "Gr\x81\xe1e", "ibm437": "Gr\x81\xe1e", "CP850": "Gr\x81\xe1e", "ibm850": "Gr\x81\xe1e", "ibm852": "Gr\x81\xe1e", "ibm00858": "Gr\x81\xe1e",
		"utf-32": "\x00\x00\x00G\x00\x00\x00r\x00\x00\x00\xfc\x00\x00\x00\xdf\x00\x00\x00e", "utf-32le": "G\x00\x00\x00r\x00\x00\x00\xfc\x00\x00\x00\xdf\x00\x00\x00e\x00\x00\x00",
		"utf-16": "\xff\xfeG\x00r\x00\xfc\x00\xdf\x00e\x00",
	} {
		text, ok := decodeCharset([]byte(raw), name)
		require.True(t, ok, name)
		require.Equal(t, "Grüße", text, name)
	}
	for name, raw := range map[string]string{"hz-gb-2312": "Order 42 ~{Dc:C~} please", "iso-2022-cn": "\x1b$)AOrder 42 \x0eDc:C\x0f please"} {
		text, ok := decodeCharset([]byte(raw), name)
		require.True(t, ok, name)
		require.Equal(t, "Order 42 你好 please", text, name)
	}
	korean, ok := decodeCharset([]byte("\x1b$)COrder 42 \x0e>H3g\x0f please"), "ISO-2022-KR")
	require.True(t, ok)
	require.Equal(t, "Order 42 안녕 please", korean)

	torn := node{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Content: []byte("Gr\xc3\xbc\xc3\x9fe \xf0\x9f\x91")}
	require.Equal(t, "Grüße ", torn.text(), "a part that was cut within a letter")
	meta := node{Type: "text/html", Content: []byte("<meta charset=windows-1251>\xcf\xf0\xe8\xe2\xe5\xf2")}
	require.Contains(t, meta.text(), "Привет")
}

// TestATextThatNobodyDecodesIsKept: with its bytes as they came, beside what can
// be read of it.
func TestATextThatNobodyDecodesIsKept(t *testing.T) {
	mail := "From: ana@customer.test\nMessage-ID: <a@b>\nContent-Type: text/plain; charset=%s\n\n%s\n"
	for name, tt := range map[string]struct {
		charset, text string
		kept          int
	}{
		"Taiwan's half of ISO-2022-CN":    {"iso-2022-cn", "Order 42 \x1b$)G\x0eGc\x0f please", 1},
		"a name that nobody knows":        {"klingon", "Order 42 \xe9 please", 1},
		"a name that nobody knows, ASCII": {"klingon", "Order 42 please", 0},
		"Windows-1252":                    {"windows-1252", "Order 42 \xe9 please", 0},
	} {
		m := asFetched(t, crlf(fmt.Sprintf(mail, tt.charset, tt.text)))
		events := m.events(1, testAccount)
		require.Len(t, events, 1, name)
		got := events[0].Message
		require.Contains(t, got.Text, "Order 42", name)
		require.Contains(t, got.Text, "please", name)
		require.NotContains(t, got.Text, "\uFFFD", name)
		require.Len(t, got.Attachments, tt.kept, name)
		if tt.kept > 0 {
			require.Equal(t, "text.txt", got.Attachments[0].Name, name)
			require.Equal(t, message.TypeFile, got.Attachments[0].Kind, name)
		}
	}
}

func TestFlowed(t *testing.T) {
	for text, want := range map[string]string{
		"a \nb\nc":           "a b\nc",
		"> a \n> b\n>> c":    "> a b\n>> c",
		"> a \nb":            "> a \nb", // another depth
		" From x\n >y":       "From x\n>y",
		"a\n-- \nsig \nmore": "a\n-- \nsig more",
	} {
		require.Equal(t, want, unflow(text, false))
	}
	require.Equal(t, "Donaudampfschiff", unflow("Donau \ndampf \nschiff", true))
}

func TestUTF7(t *testing.T) {
	for text, want := range map[string]string{"Hi Mom -+Jjo--!": "Hi Mom -☺-!", "A+ImIDkQ.": "A≢Α.", "1 +- 1": "1 + 1", "+": "+", "a+!": "a+!"} {
		require.Equal(t, want, utf7(text))
	}
}
