package email

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Parse implements platform.Platform. A mail becomes one message, a receipt, or
// nothing; see the package's documentation.
func (p *Platform) Parse(account string, body []byte) ([]message.Event, error) {
	var in payload
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("the payload is no list of mails: %w", err)
	}
	if len(in.Mails) == 0 {
		return nil, errors.New("the payload has no mails")
	}
	account = strings.ToLower(account)
	var events []message.Event
	seen := map[string]bool{}
	for _, m := range in.Mails {
		m.Body.prune()
		for _, e := range m.events(in.UIDValidity, account) {
			key := e.ExternalID
			if e.Message != nil {
				key = e.Message.ExternalID
			}
			if !seen[key] { // one mail that came on two ways, in one batch
				seen[key] = true
				events = append(events, e)
			}
		}
	}
	return events, nil
}

func (m rawMail) events(validity uint32, account string) []message.Event {
	h := parseHeader(m.Header)
	if m.Problem != "" || len(h) == 0 {
		return nil // it stays in the mailbox and is told of in the raw journal
	}
	id := first(ids(h.values("message-id")...))
	if isOwn(id, account) && fromHere(h, account) {
		return nil // a copy of what was sent from here
	}
	if id == "" {
		id = derivedID(m)
	}
	if b, ok := bounceOf(m, h, account); ok {
		return b.receipt(account, id, m)
	}
	if reportType(report(h, m.Body)) == "disposition-notification" {
		return nil // nobody here asks whether a mail was read
	}
	contact, author, ok := correspondent(h, account)
	if !ok {
		return nil
	}
	msg := message.Message{
		Direction: message.Inbound, ExternalID: id, Timestamp: m.time(h), Contact: &contact, Author: author,
		Type: message.TypeText, ReplyTo: answered(h, account),
		Mail: &message.Mail{Subject: h.text("subject"), References: shorten(ids(append(h.values("references"), h.values("in-reply-to")...)...)), Automated: automated(h, m.Body, account)},
	}
	msg.Standby = msg.Mail.Automated != ""
	m.content(&msg, validity)
	return []message.Event{{Account: account, Message: &msg}}
}

// fromHere tells this channel's mails from those of another one of the domain.
func fromHere(h header, account string) bool {
	own := func(addr string) bool { return strings.EqualFold(addr, account) }
	return slices.ContainsFunc(h.values(headerLoop), own) || slices.ContainsFunc(h.addresses("from"), func(a address) bool { return own(a.addr) })
}

// content fills in texts and attachments.
func (m rawMail) content(msg *message.Message, validity uint32) {
	if m.Body == nil {
		msg.Type, msg.Unsupported = message.TypeUnsupported, "mail that only the mailbox can show"
		return
	}
	whole := bodyText(m.Body)
	msg.Text = trimReply(whole)
	if msg.Text != whole {
		msg.Mail.Original = cutText(whole, maxOriginal)
	}
	msg.Attachments = m.attachments(validity, msg.ExternalID)
	switch {
	case strings.TrimSpace(msg.Text) != "":
	case len(msg.Attachments) > 0:
		msg.Text, msg.Type = "", msg.Attachments[0].Kind
	case msg.Mail.Subject != "":
		msg.Text = msg.Mail.Subject // whoever has one line writes it there
	default:
		msg.Text, msg.Type, msg.Unsupported = "", message.TypeUnsupported, "empty mail"
	}
}

// maxOriginal bounds what is kept of a mail beside its text, in bytes: twenty
// pages of what was said before. The mailbox has the rest.
const maxOriginal = 64 << 10

// time is when the mail arrived; the writer's clock, where the server tells none.
func (m rawMail) time(h header) time.Time {
	if !m.ReceivedAt.IsZero() {
		return m.ReceivedAt.UTC()
	}
	t, err := mail.ParseDate(h.get("date"))
	if err != nil || t.Year() <= 2000 || t.Year() >= 3000 {
		return time.Time{}
	}
	return t.UTC()
}

// correspondent is whom an answer goes to (RFC 5322 section 3.6.2: Reply-To,
// else From), and who wrote where that is somebody else. A mail from the own
// address without another one to answer to is from nobody: a copy that people
// sent themselves, or a forger.
func correspondent(h header, account string) (message.Contact, *message.Author, bool) {
	from, reply := h.addresses("from"), others(h.addresses("reply-to"), account)
	if len(reply) == 0 {
		if reply = others(from, account); len(reply) == 0 {
			return message.Contact{}, nil, false
		}
	}
	contact := message.Contact{ExternalID: reply[0].addr, DisplayName: reply[0].name}
	if len(others(from, account)) == 0 || from[0].addr == contact.ExternalID { // a form of the shop's own site
		if contact.DisplayName == "" && len(from) > 0 && from[0].addr == contact.ExternalID {
			contact.DisplayName = from[0].name
		}
		return contact, nil, len(contact.ExternalID) <= maxID
	}
	author := &message.Author{Kind: message.AuthorContact, Name: or(from[0].name, from[0].addr), ExternalID: from[0].addr}
	return contact, author, len(contact.ExternalID) <= maxID
}

// others are the addresses that are not the channel's own.
func others(list []address, account string) []address {
	return slices.DeleteFunc(slices.Clone(list), func(a address) bool { return a.addr == "" || withoutPlus(a.addr) == withoutPlus(account) })
}

func withoutPlus(addr string) string {
	local, domain, _ := cutLast(addr, "@")
	local, _, _ = strings.Cut(local, "+")
	return local + "@" + domain
}

// answered is the id of the mail that this one answers. One of this account is
// known to be one: In-Reply-To, else the last of References that is ours, else
// what the reply address says, as submission servers may give mails other ids on
// the way (Amazon SES does). Then it is whatever the mail names.
func answered(h header, account string) string {
	direct, thread := ids(h.values("in-reply-to")...), ids(h.values("references")...)
	slices.Reverse(thread)
	return cmp.Or(
		ownOf(direct, account), ownOf(thread, account),
		tokenID(h.values("to", "cc", "delivered-to", "x-original-to", "envelope-to"), account),
		first(direct), first(thread),
	)
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// maxAttachments is what the store keeps of one message.
const maxAttachments = 100

// attachments are the parts that are not the text, or whose text cannot be read. Signatures (RFC 1847) are of
// no use without the mail as it was, and are left there.
func (m rawMail) attachments(validity uint32, id string) []message.Attachment {
	var out []message.Attachment
	m.Body.walk(func(n *node) {
		if n.isText() && !n.undecoded() || signatures[n.Type] || strings.HasPrefix(n.Type, "multipart/") || n.Path == "" || len(out) == maxAttachments {
			return
		}
		ref := mediaRef{validity: validity, uid: m.UID, path: n.Path, encoding: n.Encoding}
		if !strings.HasPrefix(id, derivedPrefix) {
			ref.messageID = id
		}
		a := message.Attachment{Kind: kindOf(n.Type), Ref: ref.String(), MimeType: n.Type, Name: n.attachmentName(), State: message.MediaPending}
		if n.Encoding != "base64" && n.Encoding != "quoted-printable" {
			a.Size = n.Size
		}
		out = append(out, a)
	})
	return out
}

var signatures = map[string]bool{
	"application/pgp-signature": true, "application/pkcs7-signature": true, "application/x-pkcs7-signature": true,
	"message/delivery-status": true, "text/rfc822-headers": true, "message/global-delivery-status": true, "message/global-headers": true,
}

func kindOf(mimeType string) message.Type {
	kind, _, _ := strings.Cut(mimeType, "/")
	switch kind {
	case "image", "audio", "video":
		return message.Type(kind)
	}
	return message.TypeFile
}

// attachmentName of a part without a name: a text, or a mail within the mail, by
// what it is.
func (n *node) attachmentName() string {
	if name := n.fileName(); name != "" {
		return name
	}
	if n.isText() {
		return "text.txt"
	}
	if n.Type == typeMail || n.Type == typeGlobalMail {
		return "message.eml"
	}
	return ""
}
