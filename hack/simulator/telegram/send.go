package telegram

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The limits of texts, in UTF-16 code units after markup is parsed.
const (
	maxText    = 4096
	maxCaption = 1024
)

// sendKind is what a send method makes.
type sendKind struct {
	field   string // of the file; "" without one
	caption bool
	fill    func(*call, *Message) *apiError // the content besides the file
	attach  func(*call, *Message, *file)    // the file
}

// sendKinds are the methods that send one message.
var sendKinds = map[string]sendKind{
	"sendMessage":   {fill: (*call).fillText},
	"sendPhoto":     {field: "photo", caption: true, attach: attachPhoto},
	"sendDocument":  {field: "document", caption: true, attach: attachMedia(func(m *Message) **Media { return &m.Document })},
	"sendVideo":     {field: "video", caption: true, attach: attachMedia(func(m *Message) **Media { return &m.Video })},
	"sendAudio":     {field: "audio", caption: true, attach: attachMedia(func(m *Message) **Media { return &m.Audio })},
	"sendVoice":     {field: "voice", caption: true, attach: attachMedia(func(m *Message) **Media { return &m.Voice })},
	"sendAnimation": {field: "animation", caption: true, attach: attachMedia(func(m *Message) **Media { return &m.Animation })},
	"sendVideoNote": {field: "video_note", attach: attachMedia(func(m *Message) **Media { return &m.VideoNote })},
	"sendSticker":   {field: "sticker", attach: attachSticker},
	"sendLocation":  {fill: (*call).fillLocation},
	"sendVenue":     {fill: (*call).fillVenue},
	"sendContact":   {fill: (*call).fillContact},
}

func attachMedia(to func(*Message) **Media) func(*call, *Message, *file) {
	return func(c *call, m *Message, f *file) { *to(m) = c.media(f) }
}

// send runs a method that sends one message, with the checks in the order of
// the real server: content, keyboard, chat, reply, lengths, limits, peer.
func send(c *call) (any, *apiError) {
	kind := sendKinds[c.method]
	m := &Message{}
	if kind.field != "" {
		f, err := c.inputFile(kind.field, c.arg(kind.field), kind.field)
		if err != nil {
			return nil, err
		}
		if f == nil {
			return nil, badRequest("There is no %s in the request", strings.ReplaceAll(kind.field, "_", " "))
		}
		kind.attach(c, m, f)
	}
	if kind.fill != nil {
		if err := kind.fill(c, m); err != nil {
			return nil, err
		}
	}
	if kind.caption {
		var err *apiError
		m.Caption, m.CaptionEntities, err = formatted(c.arg("caption"), c.arg("parse_mode"), c.arg("caption_entities"))
		if err != nil {
			return nil, err
		}
	}
	keys, err := c.replyMarkup()
	if err != nil {
		return nil, err
	}
	t, err := c.prepare(m, keys.inline, 1)
	if err != nil {
		return nil, err
	}
	if keys.reply != nil {
		t.state.keyboard = keys.reply
	}
	return c.outgoing(t, m), nil
}

// prepare resolves chat and reply of a message and checks what is left.
func (c *call) prepare(m *Message, keys *InlineKeyboard, count int) (*target, *apiError) {
	reply, err := c.replyParameters()
	if err != nil {
		return nil, err
	}
	t, err := c.resolveChat(toWrite)
	if err != nil {
		return nil, err
	}
	if err := c.setReply(t, m, reply); err != nil {
		return nil, err
	}
	if err := m.checkLengths(); err != nil {
		return nil, err
	}
	if err := keys.check(); err != nil {
		return nil, err
	}
	m.ReplyMarkup = keys
	m.HasProtectedContent = c.flag("protect_content")
	if err := c.takeRate(t.state, count); err != nil {
		return nil, err
	}
	return t, c.mayWrite(t)
}

func (m *Message) checkLengths() *apiError {
	switch {
	case m.Text != "" && utf16Len(m.Text) > maxText:
		return badRequest("message is too long")
	case utf16Len(m.Caption) > maxCaption:
		return badRequest("message caption is too long")
	}
	return nil
}

// outgoing stores a message of the bot and returns it as the API answers.
func (c *call) outgoing(t *target, m *Message) *Message {
	b := c.bot
	m.MessageID = b.newMessageID(t.chat, t.state)
	m.Date = c.server.now()
	m.Chat = t.chat
	me := b.user // a copy: the name can change later
	m.From = &me
	if t.conn != nil {
		owner := t.conn.User
		m.From, m.SenderBusinessBot, m.BusinessConnectionID = &owner, &me, t.conn.ID
	}
	t.state.chat = t.chat
	t.state.add(m, true, c.server.opt.Memory.Messages)
	b.note(t.state, Entry{From: "bot", Event: "message", Message: m})
	copied := *m // the answer is encoded without the lock
	return &copied
}

func (c *call) fillText(m *Message) *apiError {
	if text := c.arg("link_preview_options"); text != "" {
		if _, ok, err := parseObject(text); err != nil {
			return badRequest("Can't parse link preview options JSON object")
		} else if !ok {
			return badRequest("Object expected as link preview options")
		}
		m.LinkPreviewOptions = json.RawMessage(text)
	}
	text := c.arg("text")
	if text == "" {
		return badRequest("Message text is empty")
	}
	var err *apiError
	if m.Text, m.Entities, err = formatted(text, c.arg("parse_mode"), c.arg("entities")); err != nil {
		return err
	}
	if blank(m.Text) {
		return badRequest("Text must be non-empty")
	}
	return nil
}

func (c *call) location() (*Location, *apiError) {
	var l Location
	for _, f := range []struct {
		name string
		to   *float64
	}{{"latitude", &l.Latitude}, {"longitude", &l.Longitude}} {
		text := strings.TrimSpace(c.arg(f.name))
		if text == "" {
			return nil, badRequest("Bad Request: %s is empty", f.name)
		}
		*f.to, _ = strconv.ParseFloat(text, 64)
	}
	if l.Latitude < -90 || l.Latitude > 90 || l.Longitude < -180 || l.Longitude > 180 {
		return nil, badRequest("Wrong location specified")
	}
	return &l, nil
}

func (c *call) fillLocation(m *Message) (err *apiError) {
	m.Location, err = c.location()
	return err
}

func (c *call) fillVenue(m *Message) *apiError {
	l, err := c.location()
	if err != nil {
		return err
	}
	title, err := c.required("title")
	if err != nil {
		return err
	}
	address, err := c.required("address")
	if err != nil {
		return err
	}
	m.Location, m.Venue = l, &Venue{Location: *l, Title: title, Address: address}
	return nil
}

func (c *call) fillContact(m *Message) *apiError {
	phone, err := c.required("phone_number")
	if err != nil {
		return err
	}
	name, err := c.required("first_name")
	if err != nil {
		return err
	}
	m.Contact = &Contact{PhoneNumber: phone, FirstName: name, LastName: c.arg("last_name"), VCard: c.arg("vcard")}
	return nil
}

func attachPhoto(_ *call, m *Message, f *file) { m.Photo = photoSizes(f) }

// photoSizes makes the list of sizes. The simulator does not scale pictures:
// the small size has the same bytes under its own numbers.
func photoSizes(f *file) []PhotoSize {
	w, h := max(f.width, 1), max(f.height, 1)
	full := PhotoSize{FileRef: f.ref(), Width: w, Height: h}
	if w <= 90 && h <= 90 {
		return []PhotoSize{full}
	}
	small := full
	scale := 90 / float64(max(w, h))
	small.Width, small.Height = max(1, int(float64(w)*scale)), max(1, int(float64(h)*scale))
	return []PhotoSize{small, full}
}

func attachSticker(c *call, m *Message, f *file) {
	m.Sticker = &Sticker{FileRef: f.ref(), Type: "regular", Width: 512, Height: 512, Emoji: c.arg("emoji")}
}

// media describes a file with the parameters of a send method.
func (c *call) media(f *file) *Media {
	m := &Media{FileRef: f.ref(), MimeType: f.mime, Title: c.arg("title"), Performer: c.arg("performer")}
	switch f.kind {
	case "document", "audio", "video", "animation":
		m.FileName = f.name
	}
	if c.method != "sendDocument" {
		seconds := c.integer("duration", 0, 0, 1<<31-1)
		m.Duration = &seconds
	}
	m.Width, m.Height = c.integer("width", f.width, 0, 10_000), c.integer("height", f.height, 0, 10_000)
	if c.method == "sendVideoNote" {
		m.Length, m.Width, m.Height = c.integer("length", 240, 0, 640), 0, 0
	}
	return m
}

// replyTo is a parsed reply_parameters.
type replyTo struct {
	message int64
	chat    string // another chat
	lenient bool   // send without reply when the message is gone
}

func (c *call) replyParameters() (replyTo, *apiError) {
	text, ok := c.lookup("reply_parameters")
	if !ok { // the older form
		return replyTo{message: c.messageID("reply_to_message_id"), lenient: c.flag("allow_sending_without_reply")}, nil
	}
	if text == "" {
		return replyTo{}, nil
	}
	o, isObject, err := parseObject(text)
	if err != nil {
		return replyTo{}, badRequest("Can't parse reply parameters JSON object")
	}
	if !isObject {
		return replyTo{}, badRequest("Object expected as reply parameters")
	}
	if len(o) == 0 {
		return replyTo{}, nil
	}
	var r replyTo
	var bad *apiError
	if r.chat, bad = o.text("chat_id", false); bad != nil {
		return r, bad
	}
	if r.message, bad = o.integer("message_id"); bad != nil {
		return r, bad
	}
	r.lenient, bad = o.boolean("allow_sending_without_reply")
	return r, bad
}

// setReply finds the message that is replied to.
func (c *call) setReply(t *target, m *Message, r replyTo) *apiError {
	if r.message <= 0 {
		return nil
	}
	var found *stored
	if r.chat == "" || parseID(r.chat) == t.chat.ID {
		found = t.state.find(r.message)
	}
	switch {
	case found != nil:
		copied := *found.msg
		copied.ReplyToMessage = nil // only one level is shown
		m.ReplyToMessage = &copied
	case !r.lenient:
		return badRequest("message to be replied not found")
	}
	return nil
}

// sendMediaGroup sends an album.
func sendMediaGroup(c *call) (any, *apiError) {
	messages, err := c.albumMessages()
	if err != nil {
		return nil, err
	}
	t, err := c.prepare(messages[0], nil, len(messages))
	if err != nil {
		return nil, err
	}
	group := ""
	if len(messages) > 1 {
		group = fmt.Sprint(1_000_000_000 + c.server.rnd.Int64N(1<<40))
	}
	for i, m := range messages {
		if err := m.checkLengths(); err != nil {
			words := fmt.Sprintf("Failed to send message #%d with the error message %q", i+1, err.raw)
			return nil, badRequest("%s", words)
		}
	}
	var out []*Message
	for _, m := range messages {
		m.MediaGroupID = group
		m.ReplyToMessage, m.HasProtectedContent = messages[0].ReplyToMessage, messages[0].HasProtectedContent
		out = append(out, c.outgoing(t, m))
	}
	return out, nil
}

func (c *call) albumMessages() ([]*Message, *apiError) {
	text, bad := c.required("media")
	if bad != nil {
		return nil, bad
	}
	list, ok, err := parseArray(text)
	if err != nil {
		return nil, badRequest("Can't parse media JSON object")
	}
	if !ok {
		return nil, badRequest("Expected an Array of InputMedia")
	}
	var out []*Message
	var kinds []string
	for _, raw := range list {
		m, kind, bad := c.inputMedia(raw, true)
		if bad != nil {
			return nil, bad
		}
		out, kinds = append(out, m), append(kinds, kind)
	}
	switch mixed := len(slices.Compact(slices.Clone(kinds))) > 1; {
	case len(out) == 0:
		return nil, badRequest("There are no messages to send")
	case len(out) > 10:
		return nil, badRequest("Too many messages to send as an album")
	case mixed && slices.Contains(kinds, "audio"):
		return nil, badRequest("Audio can't be mixed with other media types")
	case mixed && slices.Contains(kinds, "document"):
		return nil, badRequest("Document can't be mixed with other media types")
	}
	return out, nil
}

// inputMedia reads one InputMedia.
func (c *call) inputMedia(raw json.RawMessage, album bool) (*Message, string, *apiError) {
	o, ok, _ := parseObject(string(raw))
	if !ok {
		return nil, "", badRequest("Can't parse InputMedia: expected an Object")
	}
	m, kind, err := c.mediaObject(o, album)
	if err != nil && !strings.HasPrefix(err.raw, "File of size") && strings.ToUpper(err.raw) != err.raw {
		err = wrap("Can't parse InputMedia", err)
	}
	return m, kind, err
}

func (c *call) mediaObject(o object, album bool) (*Message, string, *apiError) {
	m := &Message{}
	fields := map[string]string{}
	for _, name := range []string{"caption", "parse_mode", "media"} {
		text, err := o.text(name, false)
		if err != nil {
			return nil, "", err
		}
		fields[name] = text
	}
	var err *apiError
	m.Caption, m.CaptionEntities, err = formatted(fields["caption"], fields["parse_mode"], string(o["caption_entities"]))
	if err != nil {
		return nil, "", err
	}
	kind, err := o.text("type", true)
	if err != nil {
		return nil, "", err
	}
	if album && kind == "animation" {
		return nil, "", badRequest(`type "animation" can't be used in sendMediaGroup`)
	}
	if !slices.Contains([]string{"photo", "video", "animation", "audio", "document"}, kind) {
		return nil, "", badRequest("type %q is unsupported", kind)
	}
	f, err := c.inputFile("", fields["media"], kind)
	if err != nil {
		return nil, "", err
	}
	if f == nil {
		return nil, "", badRequest("media not found")
	}
	send := "send" + strings.ToUpper(kind[:1]) + kind[1:]
	sendKinds[send].attach(&call{bot: c.bot, method: send}, m, f)
	return m, kind, nil
}
