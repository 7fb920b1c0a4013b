package telegram

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// deleteWindow is how old a message may be that a bot deletes: 48 hours.
const deleteWindow = 48 * 60 * 60

// editTarget finds the message that a call edits.
func (c *call) editTarget() (*target, *stored, *apiError) {
	id := c.messageID("message_id")
	if c.arg("chat_id") == "" && id == 0 {
		if c.arg("inline_message_id") == "" {
			return nil, nil, badRequest("Message identifier is not specified")
		}
		return nil, nil, badRequest("MESSAGE_ID_INVALID") // there are no inline messages here
	}
	t, err := c.resolveChat(toEdit)
	if err != nil {
		return nil, nil, err
	}
	s := t.state.find(id)
	if s == nil {
		return nil, nil, badRequest("message to edit not found")
	}
	if !s.fromBot {
		return nil, nil, badRequest("Message can't be edited")
	}
	return t, s, nil
}

// edit changes a message by a function that gets a copy of it and says whether
// anything changed.
func (c *call) edit(change func(*Message) *apiError) (any, *apiError) {
	keys, err := c.replyMarkup()
	if err != nil {
		return nil, err
	}
	t, s, err := c.editTarget()
	if err != nil {
		return nil, err
	}
	next := *s.msg
	next.ReplyMarkup = keys.inline // an edit without keyboard removes it
	if err := change(&next); err != nil {
		return nil, err
	}
	if err := next.checkLengths(); err != nil {
		return nil, err
	}
	if err := keys.inline.check(); err != nil {
		return nil, err
	}
	if sameContent(s.msg, &next) {
		return nil, badRequest("%s", textNotModified)
	}
	if err := c.takeRate(t.state, 1); err != nil {
		return nil, err
	}
	if err := c.mayWrite(t); err != nil {
		return nil, err
	}
	next.EditDate = c.server.now()
	s.msg = &next
	c.bot.note(t.state, Entry{From: "bot", Event: "edit", Message: &next})
	return next, nil
}

// sameContent compares what a reader sees.
func sameContent(a, b *Message) bool {
	x, y := *a, *b
	x.EditDate, y.EditDate = 0, 0
	left, _ := json.Marshal(x)
	right, _ := json.Marshal(y)
	return string(left) == string(right) && a.ReplyMarkup.equal(b.ReplyMarkup)
}

func editMessageText(c *call) (any, *apiError) {
	var text Message
	if err := c.fillText(&text); err != nil {
		return nil, err
	}
	return c.edit(func(m *Message) *apiError {
		if m.Text == "" {
			return badRequest("There is no text in the message to edit")
		}
		m.Text, m.Entities, m.LinkPreviewOptions = text.Text, text.Entities, text.LinkPreviewOptions
		return nil
	})
}

func editMessageCaption(c *call) (any, *apiError) {
	caption, entities, err := formatted(c.arg("caption"), c.arg("parse_mode"), c.arg("caption_entities"))
	if err != nil {
		return nil, err
	}
	return c.edit(func(m *Message) *apiError {
		if !m.hasMedia() {
			return badRequest("There is no caption in the message to edit")
		}
		m.Caption, m.CaptionEntities = caption, entities
		return nil
	})
}

func editMessageReplyMarkup(c *call) (any, *apiError) {
	return c.edit(func(*Message) *apiError { return nil })
}

func editMessageMedia(c *call) (any, *apiError) {
	text, err := c.required("media")
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(text)) {
		return nil, badRequest("Can't parse input media JSON object")
	}
	media, _, err := c.inputMedia(json.RawMessage(text), false)
	if err != nil {
		return nil, err
	}
	return c.edit(func(m *Message) *apiError {
		if !m.hasMedia() {
			return badRequest("There is no media in the message to edit")
		}
		m.Animation, m.Audio, m.Document, m.Photo, m.Video, m.Voice = media.Animation, media.Audio, media.Document, media.Photo, media.Video, nil
		m.Caption, m.CaptionEntities = media.Caption, media.CaptionEntities
		return nil
	})
}

func deleteMessage(c *call) (any, *apiError) {
	t, err := c.resolveChat(toWrite)
	if err != nil {
		return nil, err
	}
	s := t.state.find(c.messageID("message_id"))
	if s == nil {
		return nil, badRequest("message to delete not found")
	}
	if err := c.mayDelete(t, s); err != nil {
		return nil, err
	}
	c.bot.deleteStored(t.state, s, "bot")
	return true, nil
}

// mayDelete checks age and rights: in a private chat everything younger than
// 48 hours, in groups the bot's own, and everything for an administrator.
func (c *call) mayDelete(t *target, s *stored) *apiError {
	if t.chat.Type != "private" && c.bot.isPrivileged(t.chat) {
		return nil
	}
	if t.chat.Type != "private" && !s.fromBot {
		return badRequest("Message can't be deleted")
	}
	if c.server.now()-s.msg.Date >= deleteWindow {
		return badRequest("Message can't be deleted for everyone")
	}
	return nil
}

func (b *Bot) deleteStored(st *chatState, s *stored, from string) {
	s.deleted = true
	b.note(st, Entry{From: from, Event: "delete", MessageID: s.msg.MessageID})
}

// messageIDs reads a list of message ids.
func (c *call) messageIDs(limit int) ([]int64, *apiError) {
	text := c.arg("message_ids")
	if text == "" {
		return nil, badRequest("Message identifiers are not specified")
	}
	list, ok, err := parseArray(text)
	switch {
	case err != nil:
		return nil, badRequest("Can't parse message_ids JSON object")
	case !ok:
		return nil, badRequest("Expected an Array of message identifiers")
	case len(list) > limit:
		return nil, badRequest("Too many message identifiers specified")
	}
	var ids []int64
	for _, raw := range list {
		if kind := jsonKind(raw); kind != "Number" && kind != "String" {
			return nil, badRequest("Message identifier must be a Number")
		}
		id := parseID(strings.Trim(string(raw), `"`))
		if id <= 0 {
			return nil, badRequest("Invalid message identifier specified")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// deleteMessages deletes up to 100; those that cannot be found are skipped.
func deleteMessages(c *call) (any, *apiError) {
	ids, err := c.messageIDs(100)
	if err != nil {
		return nil, err
	}
	t, err := c.resolveChat(toWrite)
	if err != nil {
		return nil, err
	}
	var found []*stored
	for _, id := range ids {
		if s := t.state.find(id); s != nil {
			if err := c.mayDelete(t, s); err != nil {
				return nil, err
			}
			found = append(found, s)
		}
	}
	for _, s := range found {
		c.bot.deleteStored(t.state, s, "bot")
	}
	return true, nil
}

func setMessageReaction(c *call) (any, *apiError) {
	types, err := parseReactions(c.arg("reaction"))
	if err != nil {
		return nil, err
	}
	t, err := c.resolveChat(toRead)
	if err != nil {
		return nil, err
	}
	s := t.state.find(c.messageID("message_id"))
	if s == nil {
		return nil, badRequest("message to react not found")
	}
	if len(types) > 1 {
		return nil, badRequest("REACTIONS_TOO_MANY") // a bot has one reaction per message
	}
	for _, r := range types {
		if r.Type == "emoji" && !slices.Contains(reactionEmoji, r.Emoji) {
			return nil, badRequest("REACTION_INVALID")
		}
	}
	if err := c.mayWrite(t); err != nil {
		return nil, err
	}
	s.reactions[c.bot.user.ID] = types
	c.bot.note(t.state, Entry{From: "bot", Event: "reaction", MessageID: s.msg.MessageID, Reaction: types})
	return true, nil
}

func parseReactions(text string) ([]ReactionType, *apiError) {
	if text == "" {
		return nil, nil
	}
	list, ok, err := parseArray(text)
	if err != nil {
		return nil, badRequest("Can't parse reaction types JSON object")
	}
	if !ok {
		return nil, badRequest("Expected an Array of ReactionType")
	}
	var out []ReactionType
	for _, raw := range list {
		r, bad := parseReaction(raw)
		if bad != nil {
			return nil, wrap("Can't parse ReactionType", bad)
		}
		out = append(out, r)
	}
	return out, nil
}

func parseReaction(raw json.RawMessage) (r ReactionType, bad *apiError) {
	o, ok, _ := parseObject(string(raw))
	if !ok {
		return r, badRequest("expected an Object")
	}
	if r.Type, bad = o.text("type", true); bad != nil {
		return r, bad
	}
	switch r.Type {
	case "emoji":
		r.Emoji, bad = o.text("emoji", true)
	case "custom_emoji":
		r.CustomEmojiID, bad = o.text("custom_emoji_id", true)
	default:
		bad = badRequest("invalid reaction type specified")
	}
	return r, bad
}

// reactionEmoji are the emoji that can be reactions.
var reactionEmoji = strings.Fields(`❤ 👍 👎 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤‍🔥 🌚 🌭 💯 🤣
	⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾
	🤷‍♂ 🤷 🤷‍♀ 😡`)

// chatActions are the actions of sendChatAction.
var chatActions = strings.Fields(`typing upload_photo record_video upload_video record_voice upload_voice record_audio
	upload_audio upload_document choose_sticker find_location pick_up_location record_video_note upload_video_note cancel`)

func sendChatAction(c *call) (any, *apiError) {
	action := strings.ToLower(c.arg("action"))
	if !slices.Contains(chatActions, action) {
		return nil, badRequest("Wrong parameter action in request")
	}
	t, err := c.resolveChat(toWrite)
	if err != nil {
		return nil, err
	}
	if err := c.mayWrite(t); err != nil {
		return nil, err
	}
	c.bot.note(t.state, Entry{From: "bot", Event: "action", Detail: action})
	return true, nil
}

// copyMessage and forwardMessage send an existing message again.
func copyMessage(c *call) (any, *apiError) { return c.repeat(true) }

func forwardMessage(c *call) (any, *apiError) { return c.repeat(false) }

func (c *call) repeat(asCopy bool) (any, *apiError) {
	what := "forward"
	if asCopy {
		what = "copy"
	}
	from := *c
	from.args = append([]arg{{"chat_id", c.arg("from_chat_id")}}, c.args...)
	source, err := from.resolveChat(toRead)
	if err != nil {
		return nil, err
	}
	s := source.state.find(c.messageID("message_id"))
	if s == nil {
		return nil, badRequest("message to %s not found", what)
	}
	if s.msg.HasProtectedContent {
		return nil, badRequest("Message can't be %s", map[bool]string{true: "copied", false: "forwarded"}[asCopy])
	}
	m := *s.msg
	m.ReplyToMessage, m.ReplyMarkup, m.EditDate, m.MediaGroupID = nil, nil, 0, ""
	keys, err := c.replyMarkup()
	if err != nil {
		return nil, err
	}
	if asCopy && c.has("caption") && m.hasMedia() {
		if m.Caption, m.CaptionEntities, err = formatted(c.arg("caption"), c.arg("parse_mode"), c.arg("caption_entities")); err != nil {
			return nil, err
		}
	}
	t, err := c.prepare(&m, keys.inline, 1)
	if err != nil {
		return nil, err
	}
	sent := c.outgoing(t, &m)
	if asCopy {
		return map[string]int64{"message_id": sent.MessageID}, nil
	}
	return sent, nil
}

// readBusinessMessage marks a customer's message as read.
func readBusinessMessage(c *call) (any, *apiError) {
	if c.arg("business_connection_id") == "" {
		return nil, badRequest("Business connection not found")
	}
	t, err := c.resolveChat(toRead)
	if err != nil {
		return nil, err
	}
	if !t.conn.Rights.CanReadMessages {
		return nil, badRequest("BOT_ACCESS_FORBIDDEN")
	}
	s := t.state.find(c.messageID("message_id"))
	if s == nil {
		return nil, badRequest("MESSAGE_ID_INVALID")
	}
	c.bot.note(t.state, Entry{From: "bot", Event: "read", MessageID: s.msg.MessageID})
	return true, nil
}

// deleteBusinessMessages deletes messages of business chats.
func deleteBusinessMessages(c *call) (any, *apiError) {
	ids, err := c.messageIDs(100)
	if err != nil {
		return nil, err
	}
	bc := c.bot.business[c.arg("business_connection_id")]
	if bc == nil {
		return nil, badRequest("Business connection not found")
	}
	for _, id := range ids {
		for key := range maps.Keys(c.bot.chats) {
			s := c.bot.chats[key].find(id)
			if key.conn != bc.ID || s == nil {
				continue
			}
			if !bc.Rights.CanDeleteAllMessages && (!s.fromBot || !bc.Rights.CanDeleteSentMessages) {
				return nil, badRequest("BOT_ACCESS_FORBIDDEN")
			}
			c.bot.deleteStored(c.bot.chats[key], s, "bot")
		}
	}
	return true, nil
}

func getBusinessConnection(c *call) (any, *apiError) {
	bc := c.bot.business[c.arg("business_connection_id")]
	if bc == nil {
		return nil, badRequest("Business connection not found")
	}
	return *bc, nil
}
