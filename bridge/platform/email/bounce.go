package email

import (
	"regexp"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// bounce is what a mail server says of a mail of ours.
type bounce struct {
	id     string // of our mail
	failed bool   // for good; else it is only late, or arrived
	reason string
}

// bounceOf reads a delivery status notification (RFC 3464), or what servers say
// that know none. ok is false where it is not about a mail of this account.
func bounceOf(m rawMail, h header, account string) (b bounce, ok bool) {
	switch found := report(h, m.Body); {
	case reportType(found) == "delivery-status":
		b = readReport(found, account)
	case h.has("x-failed-recipients") || nullSender(h) && fromDaemon(h, account):
		b = readWords(m.Body, account)
	default:
		return b, false
	}
	if b.id == "" { // it repeats nothing of the mail, and answers it
		b.id = ownOf(ids(h.values("in-reply-to", "references")...), account)
	}
	return b, b.id != ""
}

// readReport reads what RFC 3464 and, for mails with addresses in UTF-8, RFC
// 6533 put into a report.
func readReport(report *node, account string) bounce {
	var b bounce
	report.walk(func(n *node) {
		switch n.Type {
		case "message/delivery-status", "message/global-delivery-status":
			if failed, reason := readStatus(n); failed {
				b.failed, b.reason = true, reason
			}
		case typeMail, typeGlobalMail, "text/rfc822-headers", "message/global-headers":
			if b.id == "" {
				b.id = ownOf(ids(parseHeader([]byte(n.text())).values("message-id")...), account)
			}
		}
	})
	return b
}

func ownOf(list []string, account string) string {
	for _, id := range list {
		if isOwn(id, account) {
			return id
		}
	}
	return ""
}

// readStatus looks at the recipients' fields: mails that are sent have one
// recipient, so that one failure is the mail's.
func readStatus(n *node) (failed bool, reason string) {
	for _, block := range strings.Split(strings.ReplaceAll(n.text(), "\r\n", "\n"), "\n\n") {
		h := parseHeader([]byte(strings.TrimLeft(block, "\n")))
		if action := strings.ToLower(strings.TrimSpace(h.get("action"))); action == "failed" {
			return true, statusReason(statusCode.FindString(h.get("status")))
		}
	}
	return false, ""
}

var statusCode = regexp.MustCompile(`[245]\.[0-9]{1,3}\.[0-9]{1,3}`)

// permanent is how servers say it that send no report: qmail and Exim.
var permanent = regexp.MustCompile(`(?i)this is a permanent error|permanent fatal errors|could not be delivered to one or more|i've given up|returned to sender`)

var messageIDLine = regexp.MustCompile(`(?im)^[> ]*message-id:\s*(<[^<>\s]+>)`)

// readWords looks for our mail's header in the text of a bounce.
func readWords(body *node, account string) bounce {
	var b bounce
	body.walk(func(n *node) {
		if len(n.Content) == 0 {
			return
		}
		text := n.text()
		for _, found := range messageIDLine.FindAllStringSubmatch(text, maxReferences) {
			b.id = or(b.id, ownOf(ids(found[1]), account))
		}
		if permanent.MatchString(text) {
			b.failed, b.reason = true, statusReason(statusCode.FindString(text))
		}
	})
	return b
}

// statusReason says an enhanced status code (RFC 3463) in words. The server's
// own words are left out: they repeat the address.
func statusReason(code string) string {
	if code == "" {
		return "the mail came back"
	}
	subject, _, _ := cutLast(code[2:], ".")
	words, ok := statusWords[code[2:]]
	if !ok {
		if words, ok = subjectWords[subject]; !ok {
			words = "the mail came back"
		}
	}
	return code + ": " + words
}

var statusWords = map[string]string{
	"1.1": "the mailbox does not exist", "1.2": "the domain does not exist", "1.3": "the address is not valid",
	"1.6": "the mailbox has moved", "1.10": "the domain takes no mail", "2.1": "the mailbox is disabled", "2.2": "the mailbox is full",
	"2.3": "the mail is too large for the mailbox", "3.4": "the mail is too large", "4.1": "the server does not answer",
	"4.4": "there is no way to the server", "4.6": "the mail went round in a loop", "4.7": "the mail could not be delivered in time",
	"7.1": "the server refuses the mail", "7.26": "the mail failed the sender's authentication (SPF, DKIM)",
}

var subjectWords = map[string]string{
	"1": "the address is not good", "2": "the mailbox takes no mail", "3": "the receiving system takes no mail",
	"4": "the mail could not be brought there", "5": "the servers did not understand each other", "6": "the content is not taken",
	"7": "the server refuses the mail",
}

// receipt is the event of a bounce; nil for what is only late.
func (b bounce) receipt(account, key string, m rawMail) []message.Event {
	if !b.failed {
		return nil
	}
	return []message.Event{{Account: account, ExternalID: key, Receipt: &message.Receipt{
		ExternalID: b.id, Status: message.StatusFailed, Timestamp: m.ReceivedAt, Reason: b.reason,
	}}}
}
