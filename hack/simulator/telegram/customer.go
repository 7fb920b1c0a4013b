package telegram

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Customer is a person in a chat with a bot: in their private chat, in a group
// (Group is not 0) or in a business chat (Business is set).
type Customer struct {
	bot      *Bot
	user     int64
	group    int64
	business string
}

// Customer returns a person's side of the private chat with the bot. The user
// must exist.
func (b *Bot) Customer(user int64) *Customer { return &Customer{bot: b, user: user} }

// In returns the same person in a group.
func (cu *Customer) In(group int64) *Customer {
	out := *cu
	out.group = group
	return &out
}

// OfBusiness returns the same person writing to a business account; conn is
// the id of its connection.
func (cu *Customer) OfBusiness(conn string) *Customer {
	out := *cu
	out.business = conn
	return &out
}

// Outgoing is what a customer sends: a text, or exactly one of the others.
type Outgoing struct {
	Text     string    `json:"text,omitempty"` // or the caption of a file
	ReplyTo  int64     `json:"replyTo,omitempty"`
	Photo    *Upload   `json:"photo,omitempty"`
	Document *Upload   `json:"document,omitempty"`
	Voice    *Upload   `json:"voice,omitempty"`
	Audio    *Upload   `json:"audio,omitempty"`
	Video    *Upload   `json:"video,omitempty"`
	Sticker  *Upload   `json:"sticker,omitempty"`
	Location *Location `json:"location,omitempty"`
	Venue    *Venue    `json:"venue,omitempty"`
	Contact  *Contact  `json:"contact,omitempty"`
	// Album sends several photos or documents as one group.
	Album []Outgoing `json:"album,omitempty"`
}

// Upload is a file; Data is base64 in JSON.
type Upload struct {
	Name string `json:"name,omitempty"`
	Mime string `json:"mime,omitempty"`
	Data []byte `json:"data"`
	// Emoji belongs to a sticker.
	Emoji string `json:"emoji,omitempty"`
	// Duration in seconds belongs to voice, audio and video.
	Duration int `json:"duration,omitempty"`
}

// place is where a customer acts.
type place struct {
	user User
	chat Chat
	key  chatKey
	st   *chatState
	conn *BusinessConnection
}

// place finds the chat. The caller holds mu.
func (cu *Customer) place() (*place, error) {
	s := cu.bot.server
	u := s.users[cu.user]
	if u == nil || u.deactivated {
		return nil, fmt.Errorf("user %d: not found, or deactivated", cu.user)
	}
	p := &place{user: u.user, chat: u.chat(), key: chatKey{conn: cu.business, id: cu.user}}
	switch {
	case cu.group != 0:
		g := s.groups[cu.group]
		if g == nil {
			return nil, fmt.Errorf("group %d: not found", cu.group)
		}
		p.chat, p.key = g.chat, chatKey{id: cu.group}
		g.members[cu.user] = true
	case cu.business != "":
		if p.conn = cu.bot.business[cu.business]; p.conn == nil {
			return nil, fmt.Errorf("business connection %q: not found", cu.business)
		}
	}
	p.st = cu.bot.chat(p.key)
	p.st.chat = p.chat
	return p, nil
}

// sees says whether the bot gets what happens at a place: not when it is
// blocked, not a member, or the connection is off.
func (b *Bot) sees(p *place) bool {
	switch g := b.server.groups[p.chat.ID]; {
	case p.conn != nil:
		return p.conn.IsEnabled
	case g != nil:
		status := g.bots[b.user.ID]
		return g.migratedTo == 0 && (status == "member" || status == "administrator")
	}
	return !b.peer(p.user.ID).blocked
}

// Start presses Start, which lets the bot write. payload comes from a deep
// link and may be empty.
func (cu *Customer) Start(payload string) (Message, error) {
	return cu.Send(strings.TrimSpace("/start " + payload))
}

// Send sends a text.
func (cu *Customer) Send(text string) (Message, error) {
	out, err := cu.SendAll(Outgoing{Text: text})
	if err != nil {
		return Message{}, err
	}
	return out[0], nil
}

// SendAll sends anything and returns the messages: one, or those of an album.
// Writing to a bot in the private chat starts and unblocks it, as the apps do.
func (cu *Customer) SendAll(o Outgoing) ([]Message, error) {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return nil, err
	}
	parts := o.Album
	group := ""
	if len(parts) == 0 {
		parts = []Outgoing{o}
	} else {
		group = fmt.Sprint(1_000_000_000 + b.server.rnd.Int64N(1<<40))
	}
	var messages []*Message
	for _, part := range parts {
		m, err := b.customerMessage(p, part)
		if err != nil {
			return nil, err
		}
		m.MediaGroupID = group
		messages = append(messages, m)
	}
	if p.chat.Type == "private" && p.conn == nil {
		b.setBlocked(p, false)
		b.peer(p.user.ID).started = true
	}
	var out []Message
	for _, m := range messages {
		out = append(out, *b.incoming(p.key, m, b.sees(p)))
	}
	return out, nil
}

// customerMessage builds a message; it changes nothing but the file store.
func (b *Bot) customerMessage(p *place, o Outgoing) (*Message, error) {
	user := p.user
	m := &Message{From: &user, Chat: p.chat}
	if p.conn != nil {
		m.BusinessConnectionID = p.conn.ID
	}
	if o.ReplyTo != 0 {
		s := p.st.find(o.ReplyTo)
		if s == nil {
			return nil, fmt.Errorf("message %d: not found in this chat", o.ReplyTo)
		}
		copied := *s.msg
		copied.ReplyToMessage = nil
		m.ReplyToMessage = &copied
	}
	text, entities := tidy(o.Text, nil)
	if b.attach(m, o) {
		m.Caption, m.CaptionEntities = text, entities
		return m, nil
	}
	switch {
	case o.Location != nil:
		m.Location = o.Location
	case o.Venue != nil:
		m.Venue, m.Location = o.Venue, &o.Venue.Location
	case o.Contact != nil:
		m.Contact = o.Contact
	case text != "":
		if utf16Len(text) > maxText {
			return nil, fmt.Errorf("text: %d characters, a message has at most %d", utf16Len(text), maxText)
		}
		m.Text, m.Entities = text, entities
	default:
		return nil, fmt.Errorf("there is nothing to send: set text or one kind of content")
	}
	return m, nil
}

// attach adds the file of a message; it reports whether there is one.
func (b *Bot) attach(m *Message, o Outgoing) bool {
	add := func(kind, mime string, u *Upload) *file {
		if u.Mime != "" {
			mime = u.Mime
		}
		return b.server.files.add(b.user.ID, kind, u.Name, mime, u.Data)
	}
	media := func(f *file, u *Upload) *Media {
		return &Media{FileRef: f.ref(), FileName: f.name, MimeType: f.mime, Duration: &u.Duration, Width: f.width, Height: f.height}
	}
	switch {
	case o.Photo != nil:
		m.Photo = photoSizes(add("photo", "image/jpeg", o.Photo))
	case o.Document != nil:
		m.Document = media(add("document", "application/octet-stream", o.Document), o.Document)
		m.Document.Duration, m.Document.Width, m.Document.Height = nil, 0, 0
	case o.Voice != nil:
		m.Voice = media(add("voice", "audio/ogg", o.Voice), o.Voice)
		m.Voice.FileName = ""
	case o.Audio != nil:
		m.Audio = media(add("audio", "audio/mpeg", o.Audio), o.Audio)
	case o.Video != nil:
		m.Video = media(add("video", "video/mp4", o.Video), o.Video)
	case o.Sticker != nil:
		f := add("sticker", "image/webp", o.Sticker)
		m.Sticker = &Sticker{FileRef: f.ref(), Type: "regular", Width: 512, Height: 512, Emoji: o.Sticker.Emoji}
	default:
		return false
	}
	return true
}

// incoming stores a message and tells the bot of it. The caller holds mu.
func (b *Bot) incoming(key chatKey, m *Message, seen bool) *Message {
	st := b.chat(key)
	st.chat = m.Chat
	m.MessageID, m.Date = b.newMessageID(m.Chat, st), b.server.now()
	st.lastIn = m.Date
	if st.keyboard != nil && st.keyboard.oneTime {
		st.keyboard = nil
	}
	st.add(m, false, b.server.opt.Memory.Messages)
	b.note(st, Entry{From: "customer", Event: "message", Message: m})
	if seen {
		b.push(kindOf(key, "message"), m, laneOf(key), m.Chat.ID)
	}
	return m
}

// kindOf turns message and edited_message into their business kinds.
func kindOf(key chatKey, kind string) string {
	if key.conn == "" {
		return kind
	}
	return strings.Replace(kind, "message", "business_message", 1)
}

// laneOf is the lane of a chat's messages.
func laneOf(key chatKey) string { return fmt.Sprint("chat:", key.conn, ":", key.id) }

// find returns a message of a chat with the place.
func (cu *Customer) find(id int64) (*place, *stored, error) {
	p, err := cu.place()
	if err != nil {
		return nil, nil, err
	}
	s := p.st.find(id)
	if s == nil {
		return nil, nil, fmt.Errorf("message %d: not found in this chat", id)
	}
	return p, s, nil
}

// Edit changes the text or caption of the customer's own message.
func (cu *Customer) Edit(id int64, text string) (Message, error) {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, s, err := cu.find(id)
	if err != nil {
		return Message{}, err
	}
	if s.fromBot || s.msg.From == nil || s.msg.From.ID != cu.user {
		return Message{}, fmt.Errorf("message %d: not this customer's", id)
	}
	next := *s.msg
	next.EditDate = b.server.now()
	text, entities := tidy(text, nil)
	if next.hasMedia() {
		next.Caption, next.CaptionEntities = text, entities
	} else {
		next.Text, next.Entities = text, entities
	}
	s.msg = &next
	b.note(p.st, Entry{From: "customer", Event: "edit", Message: &next})
	if b.sees(p) {
		b.push(kindOf(p.key, "edited_message"), next, laneOf(p.key), p.chat.ID)
	}
	return next, nil
}

// Delete deletes a message. Bots learn of it in business chats only.
func (cu *Customer) Delete(ids ...int64) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	var p *place
	for _, id := range ids {
		at, s, err := cu.find(id)
		if err != nil {
			return err
		}
		p = at
		b.deleteStored(p.st, s, "customer")
	}
	if p != nil && p.conn != nil && b.sees(p) {
		b.push("deleted_business_messages", businessMessagesDeleted{p.conn.ID, p.chat, ids}, laneOf(p.key), p.chat.ID)
	}
	return nil
}

// React sets the customer's reactions to a message; none removes them. The bot
// learns of it if it asked for message_reaction, in groups only as an
// administrator.
func (cu *Customer) React(id int64, emoji ...string) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, s, err := cu.find(id)
	if err != nil {
		return err
	}
	next := []ReactionType{}
	for _, e := range emoji {
		next = append(next, ReactionType{Type: "emoji", Emoji: e})
	}
	old := append([]ReactionType{}, s.reactions[cu.user]...)
	s.reactions[cu.user] = next
	b.note(p.st, Entry{From: "customer", Event: "reaction", MessageID: id, Reaction: next})
	if !b.sees(p) || p.conn != nil || (p.chat.Type != "private" && !b.isPrivileged(p.chat)) {
		return nil
	}
	b.push("message_reaction", messageReaction{
		Chat: p.chat, MessageID: id, User: &p.user, Date: b.server.now(), OldReaction: old, NewReaction: next,
	}, fmt.Sprint("reaction:", p.chat.ID), p.chat.ID)
	return nil
}

// Press presses a button: one of the inline keyboard of a message (by its text
// or its callback data), or, when message is 0, one of the reply keyboard,
// which sends its text. It returns the id of the callback query, or "" for a
// reply keyboard.
func (cu *Customer) Press(message int64, button string) (string, error) {
	if message == 0 {
		return "", cu.pressKey(button)
	}
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, s, err := cu.find(message)
	if err != nil {
		return "", err
	}
	data, err := s.buttonData(button)
	if err != nil {
		return "", err
	}
	b.forgetCallbacks()
	id := fmt.Sprint(1 + b.server.rnd.Int64N(1<<62))
	b.callbacks[id] = &pressed{chat: p.key, message: message, at: b.server.now()}
	b.note(p.st, Entry{From: "customer", Event: "press", MessageID: message, Detail: data, CallbackID: id})
	if b.sees(p) {
		b.push("callback_query", callbackQuery{
			ID: id, From: p.user, Message: s.msg, ChatInstance: fmt.Sprint(b.user.ID ^ p.chat.ID), Data: data,
		}, fmt.Sprint("press:", cu.user), p.chat.ID)
	}
	return id, nil
}

func (s *stored) buttonData(button string) (string, error) {
	var have []string
	if s.msg.ReplyMarkup != nil {
		for _, row := range s.msg.ReplyMarkup.InlineKeyboard {
			for _, k := range row {
				if k.CallbackData != "" && (k.Text == button || k.CallbackData == button) {
					return k.CallbackData, nil
				}
				have = append(have, k.Text)
			}
		}
	}
	return "", fmt.Errorf("button %q: not on message %d, which has %q", button, s.msg.MessageID, have)
}

// forgetCallbacks keeps the number of pressed buttons bounded: those that can
// no longer be answered go.
func (b *Bot) forgetCallbacks() {
	if len(b.callbacks) < 10_000 {
		return
	}
	limit := b.server.now() - int64(b.server.opt.CallbackTTL.Seconds())
	for id, p := range b.callbacks {
		if p.at < limit {
			delete(b.callbacks, id)
		}
	}
}

func (cu *Customer) pressKey(text string) error {
	b := cu.bot
	b.server.mu.Lock()
	p, err := cu.place()
	found := false
	if err == nil && p.st.keyboard != nil {
		for _, row := range p.st.keyboard.rows {
			found = found || slices.Contains(row, text)
		}
	}
	b.server.mu.Unlock()
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("key %q: not on the customer's keyboard", text)
	}
	_, err = cu.Send(text)
	return err
}

// WaitAnswer waits until the bot has answered a pressed button.
func (cu *Customer) WaitAnswer(ctx context.Context, callback string) (CallbackAnswer, error) {
	var out CallbackAnswer
	err := cu.bot.server.wait(ctx, func() bool {
		p := cu.bot.callbacks[callback]
		if p == nil || len(p.answers) == 0 {
			return false
		}
		out = p.answers[0]
		return true
	})
	if err != nil {
		err = fmt.Errorf("waiting for the answer to callback query %s: %w", callback, err)
	}
	return out, err
}

// Block stops the bot: it gets a my_chat_member update, and writing to the
// customer is refused.
func (cu *Customer) Block() error { return cu.block(true) }

// Unblock lets the bot write again.
func (cu *Customer) Unblock() error { return cu.block(false) }

func (cu *Customer) block(blocked bool) error {
	b := cu.bot
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	p, err := cu.place()
	if err != nil {
		return err
	}
	if p.chat.Type != "private" || p.conn != nil {
		return fmt.Errorf("a bot is blocked in the private chat with it")
	}
	b.setBlocked(p, blocked)
	return nil
}

func (b *Bot) setBlocked(p *place, blocked bool) {
	peer := b.peer(p.user.ID)
	if peer.blocked == blocked {
		return
	}
	peer.blocked = blocked
	old, next, event := "kicked", "member", "unblock"
	if blocked {
		old, next, event = next, old, "block"
	}
	b.note(p.st, Entry{From: "customer", Event: event})
	b.memberUpdate(p.chat, p.user, old, next)
}

// Transcript returns all entries of the customer's chat.
func (cu *Customer) Transcript() []Entry { return cu.bot.Transcript(cu.chatID(), cu.business) }

func (cu *Customer) chatID() int64 {
	if cu.group != 0 {
		return cu.group
	}
	return cu.user
}

// WaitMessages waits until the bot has sent n messages to the customer's chat
// and returns all it has sent, oldest first, as they were sent.
func (cu *Customer) WaitMessages(ctx context.Context, n int) ([]Message, error) {
	entries, err := cu.bot.WaitTranscript(ctx, Query{Chat: cu.chatID(), Business: cu.business, From: "bot", Count: n})
	var out []Message
	for _, e := range entries {
		if e.From == "bot" && e.Event == "message" {
			out = append(out, *e.Message)
		}
	}
	return out, err
}

// ConnectBusiness connects a business account with the bot, or changes its
// rights; the bot gets a business_connection update.
func (b *Bot) ConnectBusiness(owner int64, rights BusinessRights) (BusinessConnection, error) {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	u := b.server.users[owner]
	if u == nil {
		return BusinessConnection{}, fmt.Errorf("user %d: not found", owner)
	}
	id := fmt.Sprintf("bc-%d-%d", b.user.ID, owner)
	bc := &BusinessConnection{ID: id, User: u.user, UserChatID: owner, Date: b.server.now(), Rights: rights, IsEnabled: true}
	b.business[id] = bc
	b.push("business_connection", *bc, "business:"+id, owner)
	return *bc, nil
}

// DisconnectBusiness turns a business connection off.
func (b *Bot) DisconnectBusiness(id string) error {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	bc := b.business[id]
	if bc == nil {
		return fmt.Errorf("business connection %q: not found", id)
	}
	bc.IsEnabled = false
	b.push("business_connection", *bc, "business:"+id, bc.UserChatID)
	return nil
}
