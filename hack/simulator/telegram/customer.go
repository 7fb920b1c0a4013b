package telegram

import (
	"fmt"
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
	Poll     *Poll     `json:"poll,omitempty"`
	// Entities mark formatting of the text or caption, beside those that
	// Telegram finds by itself.
	Entities []Entity `json:"entities,omitempty"`
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
	text, entities := tidy(o.Text, o.Entities)
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
	case o.Poll != nil:
		m.Poll = o.Poll
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
