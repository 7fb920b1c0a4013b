package email

import (
	"regexp"
	"slices"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// rule is one sign that a machine wrote a mail.
type rule struct {
	kind message.Automated
	says func(header, *node, string) bool
}

// rules in the order in which they name the kind. They follow RFC 3834 and what
// programs did before and beside it.
var rules = []rule{
	{message.AutomatedLoop, func(h header, _ *node, account string) bool {
		return slices.ContainsFunc(h.values(headerLoop), func(v string) bool { return strings.EqualFold(v, account) })
	}},
	{message.AutomatedBounce, func(h header, body *node, account string) bool {
		return reportType(report(h, body)) == "delivery-status" || h.has("x-failed-recipients") || nullSender(h) && fromDaemon(h, account)
	}},
	{message.AutomatedReply, func(h header, _ *node, _ string) bool {
		return autoSubmitted(h) == "auto-replied" || h.has("x-autoreply") || h.has("x-autorespond") || h.has("x-autoresponder") ||
			precedence(h) == "auto_reply" || autoReplySubject.MatchString(h.text("subject"))
	}},
	{message.AutomatedList, func(h header, _ *node, account string) bool {
		return !ownList(h, account) && (h.has("list-id") || h.has("list-post") || h.has("mailing-list") || precedence(h) == "list")
	}},
	{message.AutomatedBulk, func(h header, _ *node, account string) bool {
		return precedence(h) == "bulk" || precedence(h) == "junk" || !ownList(h, account) && h.has("list-unsubscribe")
	}},
	{message.AutomatedGenerated, func(h header, body *node, account string) bool {
		submitted := autoSubmitted(h)
		return submitted != "" && submitted != "no" || suppressed(h) || nullSender(h) || fromDaemon(h, account) || reportType(report(h, body)) != ""
	}},
}

// automated says what kind of machine wrote a mail; empty: none that shows.
func automated(h header, body *node, account string) message.Automated {
	for _, r := range rules {
		if r.says(h, body, account) {
			return r.kind
		}
	}
	return ""
}

// autoSubmitted is the keyword of RFC 3834 section 5, without parameters.
func autoSubmitted(h header) string {
	keyword, _, _ := strings.Cut(h.get("auto-submitted"), ";")
	keyword, _, _ = strings.Cut(keyword, "(")
	return strings.ToLower(strings.TrimSpace(keyword))
}

func precedence(h header) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(h.get("precedence")), "-", "_"))
}

// suppressed is Exchange's wish not to be answered by machines; it sets parts of
// it (DR, RN: no receipts) on what people write, too.
func suppressed(h header) bool {
	for word := range strings.FieldsFuncSeq(strings.ToLower(h.get("x-auto-response-suppress")), func(r rune) bool { return r == ',' || r == ' ' }) {
		if word == "all" || word == "oof" || word == "autoreply" {
			return true
		}
	}
	return false
}

func nullSender(h header) bool { return strings.TrimSpace(h.get("return-path")) == "<>" }

// daemons are local parts behind which nobody reads (RFC 3834 section 2 has the
// last two).
var daemons = regexp.MustCompile(`^((mailer-daemon|postmaster|no[-_.]?reply|do[-_.]?not[-_.]?reply|bounces?|autoresponder)([-+_.].*)?|owner-.*|.*-request)$`)

func isDaemon(a address) bool { return daemons.MatchString(localPart(a.addr)) }

// fromDaemon says that a mail is from an address that nobody reads, and that no
// answer goes to a person all the same: a form on a shop's site writes from
// no-reply@, and has its customer in Reply-To.
func fromDaemon(h header, account string) bool {
	if !slices.ContainsFunc(h.addresses("from"), isDaemon) {
		return false
	}
	return !slices.ContainsFunc(others(h.addresses("reply-to"), account), func(a address) bool { return !isDaemon(a) })
}

// ownList says that the list is the channel's own address: a support address
// that is a group (Google Groups, Microsoft 365) hands customers' mail on with
// the fields of a list, and is none for us.
func ownList(h header, account string) bool {
	dotted := strings.Replace(account, "@", ".", 1)
	return strings.Contains(strings.ToLower(h.get("list-id")), "<"+dotted+">") ||
		strings.Contains(strings.ToLower(h.get("list-post")), "mailto:"+account+">")
}

// autoReplySubject is how the programs that set no field at all begin: with one
// of these phrases, and then nothing or a colon. People write "Out of office
// chairs?", too.
var autoReplySubject = regexp.MustCompile(`(?i)^(auto(matic|mated)?[- ]?(reply|response|antwort)|automatische antwort|out of (the )?office( auto[- ]?reply)?|` +
	`abwesenheits(notiz|nachricht|assistent)|réponse automatique|respuesta automática|risposta automatica|resposta automática|automatisch antwoord|` +
	`autosvar|автоответ|автоматический ответ|odpowiedź automatyczna|自动回复|自動返信|自動回覆)[\s\p{Z}]*([:：]|$)`)

// report is the report within a mail (RFC 6522); nil: it has none. What servers
// on the way add a disclaimer to is within multipart/mixed, where it counts only
// of a machine: people hand on what came back to them.
func report(h header, body *node) *node {
	found := reportNode(body)
	if found == body || nullSender(h) || slices.ContainsFunc(h.addresses("from"), isDaemon) {
		return found
	}
	return nil
}

func reportNode(body *node) *node {
	switch {
	case body == nil:
		return nil
	case body.Type == typeReport:
		return body
	case body.Type == "multipart/mixed":
		for _, p := range body.Parts {
			if p.Type == typeReport {
				return p
			}
		}
	}
	return nil
}

const typeReport = "multipart/report"

// reportType is the kind of a report; empty: it is none.
func reportType(report *node) string {
	if report == nil {
		return ""
	}
	return strings.ToLower(or(param(report.Params, "report-type"), "unknown"))
}
