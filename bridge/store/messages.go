package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// messageRow is a message as it goes into the database.
type messageRow struct {
	ID           string
	Channel      string
	Conversation string
	Direction    message.Direction
	Type         message.Type
	ExternalID   string
	Timestamp    time.Time
	AuthorKind   message.AuthorKind
	AuthorName   string
	Text         string
	Content      string // of encodeContent
	ReplyTo      string
	Status       message.Status
	Reason       string
	Raw          string
}

func (t *txn) insertMessage(m messageRow) error {
	return t.bulk(insertMessages, [][]any{m.values()})
}

var insertMessages = bulkInsert("messages", "", "id text", "channel text", "conversation text", "direction text", "type text", "external_id text",
	"timestamp bigint", "author_kind text", "author_name text", "text text", "content text", "reply_to text", "status text", "reason text", "raw text")

// values are the columns of insertMessages.
func (m *messageRow) values() []any {
	return []any{m.ID, m.Channel, m.Conversation, string(m.Direction), string(m.Type), m.ExternalID, ms(m.Timestamp), string(m.AuthorKind), m.AuthorName,
		m.Text, m.Content, m.ReplyTo, string(m.Status), m.Reason, m.Raw}
}

// content is what a message holds beside its text, as JSON in one column: it
// is read and written as a whole and never searched.
type content struct {
	Entities    []message.Entity      `json:"entities,omitempty"`
	AuthorID    string                `json:"authorId,omitempty"` // external id of who speaks in a group
	Attachments []message.Attachment  `json:"attachments,omitempty"`
	Location    *message.Location     `json:"location,omitempty"`
	Contacts    []message.ContactCard `json:"contacts,omitempty"`
	Postback    *message.Postback     `json:"postback,omitempty"`
	Buttons     []message.Button      `json:"buttons,omitempty"`
	ButtonStyle message.ButtonStyle   `json:"buttonStyle,omitempty"`
	Template    *message.Template     `json:"template,omitempty"`
	Referral    *message.Referral     `json:"referral,omitempty"`
	Mail        *message.Mail         `json:"mail,omitempty"`
	Standby     bool                  `json:"standby,omitempty"`
	Group       string                `json:"group,omitempty"`
	Unsupported string                `json:"unsupported,omitempty"`
	Echo        bool                  `json:"echo,omitempty"`
	Survey      string                `json:"survey,omitempty"`   // campaign whose question or answer it is
	Target      string                `json:"target,omitempty"`   // of an outbound edit or deletion
	Reaction    *message.Reaction     `json:"reaction,omitempty"` // outbound
}

func (c *content) empty() bool {
	return len(c.Entities) == 0 && c.AuthorID == "" && c.ButtonStyle == "" && c.Template == nil && c.Referral == nil && c.Mail == nil && !c.Standby &&
		len(c.Attachments) == 0 && c.Location == nil && len(c.Contacts) == 0 && c.Postback == nil && len(c.Buttons) == 0 && c.Group == "" && c.Unsupported == "" && !c.Echo && c.Target == "" && c.Reaction == nil && c.Survey == ""
}

// encodeContent is the content column of a message, ” when there is only text.
func encodeContent(m message.Message) (string, error) {
	c := content{Entities: m.Entities, AuthorID: authorID(m), ButtonStyle: m.ButtonStyle, Template: m.Template, Referral: m.Referral, Mail: m.Mail, Standby: m.Standby,
		Attachments: m.Attachments, Location: m.Location, Contacts: m.Contacts, Postback: m.Postback,
		Buttons: m.Buttons, Group: m.Group, Unsupported: m.Unsupported, Echo: m.Echo, Target: m.Target, Reaction: m.Reaction, Survey: m.Survey}
	return c.encode()
}

// authorID is the platform's id of who speaks, where that is not the contact.
func authorID(m message.Message) string {
	if m.Author == nil {
		return ""
	}
	return m.Author.ExternalID
}

func (c *content) encode() (string, error) {
	if c.empty() {
		return "", nil
	}
	raw, err := json.Marshal(c)
	if err != nil { // a coordinate that is not a number
		return "", fmt.Errorf("the message's content cannot be encoded: %w", err)
	}
	return string(raw), nil
}

func decodeContent(raw string) (c content, err error) {
	if raw == "" {
		return c, nil
	}
	return c, json.Unmarshal([]byte(raw), &c)
}

// mergeContent is the content after an edit: what the edit does not speak of
// stays as it was.
func mergeContent(before string, edit message.Message) (string, error) {
	c, err := decodeContent(before)
	if err != nil {
		return "", err
	}
	c.Entities = edit.Entities // the text is replaced, and what marked it with it
	if len(edit.Attachments) > 0 {
		c.Attachments = edit.Attachments
	}
	if edit.Location != nil {
		c.Location = edit.Location
	}
	if len(edit.Contacts) > 0 {
		c.Contacts = edit.Contacts
	}
	if len(edit.Buttons) > 0 {
		c.Buttons = edit.Buttons
	}
	if edit.Template != nil {
		c.Template = edit.Template
	}
	return c.encode()
}

const selectMessages = `SELECT m.id, m.channel, m.conversation, m.direction, m.type, m.external_id, m.timestamp, m.author_kind, m.author_name,
	m.text, m.content, m.reply_to, m.status, m.reason, m.edited_at, m.deleted_at,
	c.id, i.external_id, c.display_name, i.username, c.language
	FROM messages m JOIN conversations v ON v.id = m.conversation JOIN contacts c ON c.id = v.contact JOIN identities i ON i.id = v.identity `

func scanMessage(rows *sql.Rows) (m message.Message, err error) {
	var timestamp, edited, deleted int64
	var author message.Author
	var contact message.Contact
	var raw string
	if err := rows.Scan(&m.ID, &m.Channel, &m.Conversation, &m.Direction, &m.Type, &m.ExternalID, &timestamp, &author.Kind, &author.Name,
		&m.Text, &raw, &m.ReplyTo, &m.Status, &m.Reason, &edited, &deleted,
		&contact.ID, &contact.ExternalID, &contact.DisplayName, &contact.Username, &contact.Language); err != nil {
		return m, err
	}
	m.Namespace, m.Channel = splitChannel(m.Channel)
	m.Timestamp, m.EditedAt, m.DeletedAt = fromMS(timestamp), optionalMS(edited), optionalMS(deleted)
	m.Contact = &contact
	c, err := decodeContent(raw)
	author.ExternalID = c.AuthorID
	if m.Direction == message.Outbound || author.Name != "" || author.ExternalID != "" { // inbound: who spoke in a group
		m.Author = &author
	}
	m.Entities, m.ButtonStyle, m.Template, m.Referral, m.Mail, m.Standby = c.Entities, c.ButtonStyle, c.Template, c.Referral, c.Mail, c.Standby
	m.Attachments, m.Location, m.Contacts, m.Postback, m.Buttons = c.Attachments, c.Location, c.Contacts, c.Postback, c.Buttons
	m.Group, m.Unsupported, m.Echo, m.Target, m.Reaction, m.Survey = c.Group, c.Unsupported, c.Echo, c.Target, c.Reaction, c.Survey
	return m, err
}

// queryMessages reads messages with everything that belongs to them; where is
// what follows the FROM of selectMessages.
func (s *Store) queryMessages(ctx context.Context, q querier, where string, args ...any) ([]message.Message, error) {
	list, err := all(ctx, q, scanMessage, selectMessages+where, args...)
	if err != nil {
		return nil, err
	}
	if err := addReactions(ctx, q, list); err != nil {
		return nil, err
	}
	return list, addMedia(ctx, q, list)
}

// loadMessages reads messages by id; those that are not there are left out.
func (s *Store) loadMessages(ctx context.Context, q querier, ids []string) ([]message.Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.queryMessages(ctx, q, `WHERE m.id IN `+in(len(ids)), anys(ids)...)
}

func addReactions(ctx context.Context, q querier, list []message.Message) error {
	if len(list) == 0 {
		return nil
	}
	index := make(map[string]*message.Message, len(list))
	ids := make([]any, len(list))
	for i := range list {
		ids[i], index[list[i].ID] = list[i].ID, &list[i]
	}
	rows, err := q.rows(ctx, `SELECT message, emoji FROM reactions WHERE message IN `+in(len(ids))+` ORDER BY message, timestamp, actor`, ids...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, emoji string
		if err := rows.Scan(&id, &emoji); err != nil {
			return err
		}
		index[id].Reactions = append(index[id].Reactions, message.Reaction{Emoji: emoji})
	}
	return rows.Err()
}

// addMedia fills in the state of kept attachments, which is the media's own
// and may be shared between messages.
func addMedia(ctx context.Context, q querier, list []message.Message) error {
	var ids []any
	for i := range list {
		for _, a := range list[i].Attachments {
			if a.MediaID != "" {
				ids = append(ids, a.MediaID)
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := all(ctx, q, scanMedia, selectMedia+`WHERE id IN `+in(len(ids)), ids...)
	if err != nil {
		return err
	}
	index := make(map[string]mediaRow, len(rows))
	for _, r := range rows {
		index[r.ID] = r
	}
	for i := range list {
		for j := range list[i].Attachments {
			if a := &list[i].Attachments[j]; a.MediaID != "" {
				describeAttachment(a, index[a.MediaID])
			}
		}
	}
	return nil
}

// describeAttachment shows what became of an attachment's bytes.
func describeAttachment(a *message.Attachment, m mediaRow) {
	a.Ref = ""
	if m.ID == "" { // removed by retention
		a.State, a.Reason = message.MediaUnavailable, reasonExpired
		return
	}
	a.State, a.Reason = m.State, m.Reason
	if m.State == message.MediaStored {
		a.Size = m.Size
		a.MimeType = or(m.MimeType, a.MimeType)
		a.Name = or(a.Name, m.Name)
	}
}
