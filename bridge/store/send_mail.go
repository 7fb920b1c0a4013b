package store

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// Emails have a subject and name the mails before them. What is sent continues
// the thread of the mail that it answers:
//
//	replyTo names a mail ──┐
//	else the latest that   ├─► Re: its subject, its references and itself
//	a person wrote ────────┘
//
// Whoever sends may give it a subject of its own.
//
// Machines do not answer machines (RFC 3834 section 2), and one that takes us for
// a person is not talked to for ever.
const (
	// automatedMails is how many mails automated authors may send to one contact
	// within automatedWindow. A survey or a bot's dialogue takes a handful; two
	// programs that answer each other send one every few seconds.
	automatedMails  = 10
	automatedWindow = time.Hour
	// answerable is how many of the latest mails are looked at for one that a
	// person wrote.
	answerable = 10
	// maxReferences of a thread are named: the first ones and the last, as the
	// platform keeps them.
	maxReferences, firstReferences = 20, 3
)

// parentMail is the mail that is answered.
type parentMail struct {
	externalID string
	mail       message.Mail
}

func scanParent(rows *sql.Rows) (p parentMail, err error) {
	var raw string
	if err := rows.Scan(&p.externalID, &raw); err != nil {
		return p, err
	}
	c, err := decodeContent(raw)
	if c.Mail != nil {
		p.mail = *c.Mail
	}
	return p, err
}

// thread gives a message of a platform with threads its place in one.
func (o *outgoing) thread(ctx context.Context) error {
	if !o.caps.Threads || isEffect(o.m.Type) {
		if o.req.Subject != "" {
			return &FieldError{Field: "subject", Message: "only a new message on a platform with mails has one; leave it out"}
		}
		return nil
	}
	parent, err := o.parent(ctx)
	if err != nil {
		return err
	}
	o.m.Mail = &message.Mail{}
	if parent != nil {
		o.m.Mail.Subject = replySubject(parent.mail.Subject)
		o.m.Mail.References = withReference(parent.mail.References, parent.externalID)
		if o.m.ReplyTo == "" {
			o.m.ReplyTo = parent.externalID
		}
	}
	if o.req.Subject != "" { // it is another matter, in the same thread
		o.m.Mail.Subject = o.req.Subject
	}
	if !automated(o.req.Author.Kind) && o.req.Author.Kind != message.AuthorSurvey {
		return nil
	}
	return o.mayAutomate(ctx, parent)
}

// parent finds the mail that is answered: nil where there is none.
func (o *outgoing) parent(ctx context.Context) (*parentMail, error) {
	if o.m.ReplyTo != "" {
		named, err := all(ctx, o.s.read, scanParent, `SELECT x.external_id, m.content FROM external_ids x JOIN messages m ON m.id = x.id JOIN conversations v ON v.id = m.conversation
			WHERE x.channel = ? AND x.kind = 'message' AND x.external_id = ? AND v.contact = ? ORDER BY m.direction LIMIT 1`, o.conv.channel, o.m.ReplyTo, o.conv.contact)
		if err != nil || len(named) > 0 {
			return firstOf(named), err
		}
	}
	latest, err := all(ctx, o.s.read, scanParent, `SELECT external_id, content FROM messages WHERE conversation = ? AND direction = 'inbound'
		ORDER BY timestamp DESC, id DESC LIMIT ?`, o.conv.id, answerable)
	for i := range latest {
		if latest[i].mail.Automated == "" {
			return &latest[i], err
		}
	}
	return firstOf(latest), err
}

func firstOf(list []parentMail) *parentMail {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// mayAutomate decides whether an automated author may write now, and marks what
// it writes.
func (o *outgoing) mayAutomate(ctx context.Context, parent *parentMail) error {
	if parent != nil && parent.mail.Automated != "" {
		return fmt.Errorf("conversation %s: a machine wrote the mail to be answered (%s), and machines do not answer machines; people may: %w", o.conv.id, parent.mail.Automated, ErrConflict)
	}
	var sent int
	if _, err := one(ctx, o.s.read, []any{&sent}, `SELECT COUNT(*) FROM messages m JOIN conversations v ON v.id = m.conversation
		WHERE v.contact = ? AND v.channel = ? AND m.direction = 'outbound' AND m.author_kind IN ('bot', 'system') AND m.timestamp > ?`,
		o.conv.contact, o.conv.channel, ms(o.s.now().Add(-automatedWindow))); err != nil {
		return err
	}
	if sent >= automatedMails {
		return fmt.Errorf("conversation %s: automated authors have sent %d mails to this contact within %s, more could be two machines talking; people may write: %w", o.conv.id, sent, automatedWindow, ErrConflict)
	}
	o.m.Mail.Automated = message.AutomatedGenerated
	if parent != nil {
		o.m.Mail.Automated = message.AutomatedReply
	}
	return nil
}

// answerPrefix is how programs mark answers in the languages of their users.
var answerPrefix = regexp.MustCompile(`(?i)^(re|aw|antw|sv|vs|odp|rif|res|ref|ynt|回复|回覆|答复)(\[[0-9]+\])?\s?[:：]`)

// replySubject is the subject with one "Re: " before it.
func replySubject(subject string) string {
	if subject == "" || answerPrefix.MatchString(subject) {
		return subject
	}
	return "Re: " + subject
}

// withReference is a thread's ids with one more at the end.
func withReference(list []string, id string) []string {
	all := append(append(make([]string, 0, len(list)+1), list...), id)
	if len(all) <= maxReferences {
		return all
	}
	return append(all[:firstReferences:firstReferences], all[len(all)-maxReferences+firstReferences:]...)
}

const (
	maxSubject  = 998      // characters: a line of a mail
	maxOriginal = 64 << 10 // characters
)

// cleanMail makes what only email has fit to be kept.
func cleanMail(m *message.Mail) *message.Mail {
	if m == nil {
		return nil
	}
	kept := message.Mail{Subject: cut(m.Subject, maxSubject), Original: cut(m.Original, maxOriginal), Automated: message.Automated(cut(string(m.Automated), maxName))}
	for _, id := range m.References {
		if id = clean(id); id != "" && len(id) <= maxExternalID && len(kept.References) < maxList {
			kept.References = append(kept.References, id)
		}
	}
	return &kept
}
