package telegram

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// maxDownload is what getFile gives out; a bot cannot fetch larger files from
// the public server at all.
const maxDownload = 20 << 20

// envelopeKeys are the keys of a message that say nothing of its kind.
var envelopeKeys = set(
	"message_id", "message_thread_id", "direct_messages_topic", "from", "sender_chat", "sender_boost_count", "sender_business_bot",
	"sender_tag", "date", "business_connection_id", "chat", "forward_origin", "is_topic_message", "is_automatic_forward",
	"reply_to_message", "external_reply", "quote", "reply_to_story", "reply_to_checklist_task_id", "via_bot", "edit_date",
	"has_protected_content", "is_from_offline", "is_paid_post", "media_group_id", "author_signature", "paid_star_count", "entities",
	"link_preview_options", "suggested_post_info", "effect_id", "caption", "caption_entities", "show_caption_above_media",
	"has_media_spoiler", "reply_markup", "forward_from", "forward_from_chat", "forward_from_message_id", "forward_signature",
	"forward_sender_name", "forward_date", "guest_bot_caller_user", "guest_bot_caller_chat", "guest_query_id",
)

// serviceKinds are what Telegram tells about a chat in the form of a message.
// Nobody wrote them to the shop.
var serviceKinds = set(
	"new_chat_members", "new_chat_member", "new_chat_participant", "left_chat_member", "left_chat_participant", "chat_owner_left",
	"chat_owner_changed", "new_chat_title", "new_chat_photo", "delete_chat_photo", "group_chat_created", "supergroup_chat_created",
	"channel_chat_created", "message_auto_delete_timer_changed", "pinned_message", "connected_website", "write_access_allowed",
	"proximity_alert_triggered", "boost_added", "chat_background_set", "forum_topic_created", "forum_topic_edited",
	"forum_topic_closed", "forum_topic_reopened", "general_forum_topic_hidden", "general_forum_topic_unhidden",
	"giveaway_created", "giveaway_completed", "paid_message_price_changed", "direct_message_price_changed",
	"video_chat_scheduled", "video_chat_started", "video_chat_ended", "video_chat_participants_invited",
)

// kinds are read in this order: an animation brings a document too, a venue a location.
var kinds = []string{
	"migrate_to_chat_id", "migrate_from_chat_id", "text", "photo", "animation", "video", "video_note", "voice", "audio", "document",
	"sticker", "venue", "location", "contact", "web_app_data",
}

// maxKind bounds the name of a kind that is not known here; Telegram's are shorter.
const maxKind = 64

// decodeMessage reads a message and finds its kind: the key that only such
// messages have. A message of which no more than its frame can be read still
// comes through, as something of that kind.
func decodeMessage(raw json.RawMessage) (m *tgMessage, kind string, ok bool) {
	var keys map[string]json.RawMessage
	if json.Unmarshal(raw, &keys) != nil {
		return nil, "", false
	}
	maps.DeleteFunc(keys, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	kind = messageKind(keys)
	m = &tgMessage{}
	if err := json.Unmarshal(raw, m); err != nil {
		var frame struct {
			MessageID            int64  `json:"message_id"`
			Date                 int64  `json:"date"`
			BusinessConnectionID string `json:"business_connection_id"`
			Chat                 chat   `json:"chat"`
		}
		if json.Unmarshal(raw, &frame) != nil {
			return nil, "", false
		}
		m = &tgMessage{MessageID: frame.MessageID, Date: frame.Date, BusinessConnectionID: frame.BusinessConnectionID, Chat: frame.Chat}
		kind = "unreadable " + kind
	}
	return m, kind, m.Chat.ID != 0 && m.MessageID != 0
}

func messageKind(keys map[string]json.RawMessage) string {
	for _, k := range kinds {
		if _, ok := keys[k]; ok {
			return k
		}
	}
	var unknown []string
	for k := range keys {
		if !envelopeKeys[k] {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) == 0 {
		return "empty"
	}
	kind := slices.Min(unknown) // any, but always the same
	return kind[:min(len(kind), maxKind)]
}

// normalise makes the message without its external id.
func (m *tgMessage) normalise(kind string) *message.Message {
	at := m.address()
	out := &message.Message{
		Direction: message.Inbound, Timestamp: unixTime(m.Date),
		Contact: m.Chat.contact(at, m.From), Author: author(m.Chat, m.From, m.SenderChat, m.AuthorSignature),
		ReplyTo: m.replyTo(), Group: m.MediaGroupID,
	}
	if m.echo() {
		out.Direction, out.Echo = message.Outbound, true
		out.Contact = m.Chat.contact(at, nil)
		out.Author = &message.Author{Kind: message.AuthorAgent, Name: m.From.name(), ExternalID: strconv.FormatInt(m.From.ID, 10)}
	}
	m.fill(out, kind)
	return out
}

// fill puts in what the message says. A kind is looked up by its exact key, but
// encoding/json puts "Venue": null into the field of "venue" as well, so a kind
// may have no value: such a message is one of no counterpart.
func (m *tgMessage) fill(out *message.Message, kind string) {
	switch {
	case kind == "text":
		out.Type, out.Text, out.Entities = message.TypeText, m.Text, entitiesOf(m.Text, m.Entities)
		if payload := m.startPayload(); payload != "" {
			out.Type, out.Postback = message.TypePostback, &message.Postback{Payload: payload}
		}
	case kind == "venue" && m.Venue != nil:
		out.Type = message.TypeLocation
		out.Location = &message.Location{Latitude: m.Venue.Location.Latitude, Longitude: m.Venue.Location.Longitude, Name: m.Venue.Title, Address: m.Venue.Address}
	case kind == "location" && m.Location != nil:
		out.Type = message.TypeLocation
		out.Location = &message.Location{Latitude: m.Location.Latitude, Longitude: m.Location.Longitude}
	case kind == "contact" && m.Contact != nil:
		out.Type, out.Contacts = message.TypeContacts, []message.ContactCard{m.Contact.card()}
	case kind == "web_app_data" && m.WebAppData != nil:
		out.Type, out.Postback = message.TypePostback, &message.Postback{Payload: m.WebAppData.Data, Title: m.WebAppData.ButtonText}
	default:
		if a := m.attachment(kind); a != nil {
			out.Type, out.Attachments = a.Kind, []message.Attachment{*a}
			if kind == "sticker" {
				out.Text = m.Sticker.Emoji
			}
			return
		}
		out.Type, out.Unsupported, out.Text = message.TypeUnsupported, kind, m.gist(kind)
		if out.Text == m.Caption {
			out.Entities = entitiesOf(m.Caption, m.CaptionEntities)
		}
	}
}

// startForm is what the Start button of a deep link (t.me/<bot>?start=<payload>)
// writes; in groups it names the bot. Other words after /start were typed.
var startForm = regexp.MustCompile(`^/start(?:@[A-Za-z0-9_]+)? ([A-Za-z0-9_-]{1,64})$`)

// startPayload is the payload of a deep link, or empty. In a business account's
// chats nobody speaks to the bot.
func (m *tgMessage) startPayload() string {
	if form := startForm.FindStringSubmatch(m.Text); form != nil && m.From != nil && m.BusinessConnectionID == "" {
		return form[1]
	}
	return ""
}

// gist is what can be said in words of a kind that has no counterpart.
func (m *tgMessage) gist(kind string) string {
	switch {
	case kind == "dice" && m.Dice != nil:
		return fmt.Sprintf("%s %d", m.Dice.Emoji, m.Dice.Value)
	case kind == "poll" && m.Poll != nil:
		lines := []string{m.Poll.Question}
		for _, o := range m.Poll.Options {
			lines = append(lines, "- "+o.Text)
		}
		return strings.Join(lines, "\n")
	}
	return m.Caption
}

func (m *tgMessage) attachment(kind string) *message.Attachment {
	f := m.file(kind)
	if f == nil {
		return nil
	}
	a := message.Attachment{Caption: m.Caption, Entities: entitiesOf(m.Caption, m.CaptionEntities), State: message.MediaPending}
	switch kind {
	case "photo":
		a.Kind, a.MimeType = message.TypeImage, "image/jpeg"
	case "animation", "video", "video_note":
		a.Kind, a.MimeType = message.TypeVideo, "video/mp4"
	case "voice":
		a.Kind, a.MimeType = message.TypeAudio, "audio/ogg"
	case "audio":
		a.Kind, a.MimeType = message.TypeAudio, "audio/mpeg"
		if f.FileName == "" {
			f.FileName = strings.Trim(f.Performer+" - "+f.Title, " -")
		}
	case "document":
		a.Kind = message.TypeFile
	case "sticker":
		a.Kind, a.MimeType = message.TypeSticker, f.stickerType()
	}
	f.into(&a)
	return &a
}

// file is the file of a message whose kind has one; nil for other kinds, and
// where there is none.
func (m *tgMessage) file(kind string) *file {
	switch kind {
	case "photo":
		if len(m.Photo) > 0 {
			return &largest(m.Photo).file
		}
	case "animation":
		return m.Animation
	case "video":
		return m.Video
	case "video_note":
		return m.VideoNote
	case "voice":
		return m.Voice
	case "audio":
		return m.Audio
	case "document":
		return m.Document
	case "sticker":
		return m.Sticker
	}
	return nil
}

// refSeparator stands between file_id, which fetches a file, and
// file_unique_id, which is the same for every bot and all time.
const refSeparator = "#"

func (f file) into(a *message.Attachment) {
	a.Name, a.Size = f.FileName, f.FileSize
	if f.MimeType != "" {
		a.MimeType = f.MimeType
	}
	a.Ref = f.FileID
	if f.FileUniqueID != "" {
		a.Ref += refSeparator + f.FileUniqueID
	}
	switch {
	case f.FileID == "":
		a.State, a.Reason = message.MediaUnavailable, "Telegram named no file"
	case f.FileSize > maxDownload:
		a.State, a.Reason = message.MediaUnavailable, "Telegram lets bots fetch files of up to 20 MB"
	}
}

func (f file) stickerType() string {
	switch {
	case f.IsAnimated:
		return "application/x-tgsticker"
	case f.IsVideo:
		return "video/webm"
	}
	return "image/webp"
}

func largest(sizes []photoSize) *photoSize {
	size := slices.MaxFunc(sizes, func(a, b photoSize) int { return int(a.Width*a.Height - b.Width*b.Height) })
	return &size
}

func (c *contact) card() message.ContactCard {
	card := message.ContactCard{Name: strings.TrimSpace(c.FirstName + " " + c.LastName)}
	if c.PhoneNumber != "" {
		card.Phones = []string{c.PhoneNumber}
	}
	if c.UserID != 0 {
		card.ExternalID = strconv.FormatInt(c.UserID, 10)
	}
	return card
}

func (m *tgMessage) address() address {
	a := address{chat: m.Chat.ID, connection: m.BusinessConnectionID}
	// Outside topics message_thread_id is the thread of replies, which needs no
	// address of its own; in a private chat, all topics are one conversation.
	if m.IsTopicMessage && m.Chat.ID < 0 {
		a.thread = m.ThreadID
	}
	return a
}

// own says that the bot itself wrote the message.
func (m *tgMessage) own(account string) bool {
	is := func(u *user) bool { return u != nil && strconv.FormatInt(u.ID, 10) == account }
	return is(m.From) || is(m.SenderBusinessBot)
}

// echo says that the owner of a business account wrote it. In such a chat, which
// is always private, chat.id is the other person.
func (m *tgMessage) echo() bool {
	return m.BusinessConnectionID != "" && m.From != nil && m.From.ID != m.Chat.ID
}

func (m *tgMessage) replyTo() string {
	r := m.ReplyTo
	// In a topic, what answers nothing answers the message that opened the topic.
	if r == nil || r.MessageID == 0 || (m.IsTopicMessage && r.MessageID == m.ThreadID) {
		return ""
	}
	return m.address().message(r.MessageID)
}

func (m *tgMessage) migration() *message.Migration {
	from, to := m.Chat.ID, m.MigrateToChatID
	if m.MigrateFromChatID != 0 {
		from, to = m.MigrateFromChatID, m.Chat.ID
	}
	if to == 0 {
		return nil
	}
	return &message.Migration{From: address{chat: from}.String(), To: address{chat: to}.String()}
}

func (m *tgMessage) buttonTitle(data string) string {
	if m.ReplyMarkup == nil || data == "" {
		return ""
	}
	for _, row := range m.ReplyMarkup.InlineKeyboard {
		for _, b := range row {
			if b.CallbackData == data {
				return b.Text
			}
		}
	}
	return ""
}

// contact is the chat; from gives the language of a private chat.
func (c chat) contact(at address, from *user) *message.Contact {
	out := &message.Contact{ExternalID: at.String(), Username: c.Username, DisplayName: c.Title}
	if out.DisplayName == "" {
		out.DisplayName = strings.TrimSpace(c.FirstName + " " + c.LastName)
	}
	if c.ID > 0 && from != nil && from.ID == c.ID {
		out.Language = from.LanguageCode
		if out.DisplayName == "" {
			out.DisplayName = from.name()
		}
		if out.Username == "" {
			out.Username = from.Username
		}
	}
	return out
}

// contact is the person, answered at an address of theirs.
func (u *user) contact(at address) *message.Contact {
	return &message.Contact{ExternalID: at.String(), DisplayName: u.name(), Username: u.Username, Language: u.LanguageCode}
}

// author is who speaks where the contact is not a person: in groups and
// channels. Of an anonymous administrator, or a channel, that speaks there only
// the chat is known; of a channel's post perhaps nothing but a signature.
func author(c chat, from *user, sender *chat, signature string) *message.Author {
	if c.ID > 0 {
		return nil
	}
	a := message.Author{Kind: message.AuthorContact, Name: signature}
	name := ""
	switch {
	case sender != nil && sender.ID != 0: // from is a stand-in then
		name, a.ExternalID = sender.Title, strconv.FormatInt(sender.ID, 10)
		if name == "" {
			name = strings.TrimSpace(sender.FirstName + " " + sender.LastName)
		}
	case from != nil && from.ID != 0:
		name, a.ExternalID = from.name(), strconv.FormatInt(from.ID, 10)
	}
	if a.Name == "" {
		a.Name = name
	}
	if a.Name == "" && a.ExternalID == "" {
		return nil
	}
	return &a
}

func (u *user) name() string {
	if name := strings.TrimSpace(u.FirstName + " " + u.LastName); name != "" {
		return name
	}
	return u.Username
}

// unixTime is zero when Telegram told no time (date is 0 for messages that the
// bot cannot see any more).
func unixTime(seconds int64) time.Time {
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0).UTC()
}

func set(keys ...string) map[string]bool {
	m := make(map[string]bool, len(keys))
	for _, k := range keys {
		m[k] = true
	}
	return m
}
