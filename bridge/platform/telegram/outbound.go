package telegram

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

// Send implements platform.Platform. Texts go out as they are: parse_mode would
// make a message fail for a stray underscore.
func (p *Platform) Send(ctx context.Context, ch platform.Channel, out platform.Outgoing) (platform.SendResult, error) {
	c := self(ch)
	to, err := parseAddress(out.To)
	if err != nil {
		return platform.SendResult{}, &platform.Error{Class: wire.ErrRecipientGone, Reason: err.Error()}
	}
	var result platform.SendResult
	if out.Part.Action != "" {
		err = c.act(ctx, out.Part)
	} else {
		result, err = c.sendPart(ctx, to, out)
	}
	return result, scoped(err, to)
}

// scoped says what a rate limit holds for. Telegram does not tell. The lane's
// own pace keeps a private chat below its limit, so there it is the bot's; a
// group has a limit of 20 a minute that only its own messages can reach.
func scoped(err error, to address) error {
	var e *platform.Error
	if errors.As(err, &e) && e.Class == wire.ErrRateLimited && to.group() {
		e.Scope = wire.ScopeContact
	}
	return err
}

func (c *channel) sendPart(ctx context.Context, to address, out platform.Outgoing) (platform.SendResult, error) {
	fields := target(to, out.ReplyTo)
	if len(out.Part.Buttons) > 0 {
		fields["reply_markup"] = keyboard(out.Part.Buttons)
	}
	var sent tgMessage
	var err error
	switch part := out.Part; {
	case part.Attachment != nil:
		ctx, cancel := context.WithTimeout(ctx, sendTimeout(part))
		defer cancel()
		err = c.sendMedia(ctx, fields, *part.Attachment, out.OpenMedia, &sent)
	case part.Location != nil:
		err = c.call(ctx, place(fields, *part.Location), fields, &sent)
	default:
		fields["text"] = part.Text
		err = c.call(ctx, "sendMessage", fields, &sent)
	}
	if err != nil {
		return platform.SendResult{}, err
	}
	if sent.MessageID == 0 {
		return platform.SendResult{}, &platform.Error{Class: wire.ErrUnknown, Reason: "Telegram named no message_id", MaybeSent: true}
	}
	at := to
	if sent.Chat.ID != 0 {
		at.chat = sent.Chat.ID
	}
	return platform.SendResult{ExternalIDs: []string{at.message(sent.MessageID)}, SentAt: unixTime(sent.Date)}, nil
}

type params map[string]any

// target are the fields that say where a message goes.
func target(to address, replyTo string) params {
	fields := params{"chat_id": to.chat}
	if to.thread != 0 {
		fields["message_thread_id"] = to.thread
	}
	if to.connection != "" {
		fields["business_connection_id"] = to.connection
	}
	// What cannot be answered is not worth failing for: a message of the chat
	// before it became a supergroup, a pressed button, one that was deleted.
	if at, id, err := parseMessageID(replyTo); err == nil && at.chat == to.chat && at.connection == to.connection {
		fields["reply_parameters"] = params{"message_id": id, "allow_sending_without_reply": true}
	}
	return fields
}

// keyboard puts each button in a row of its own: titles are cut off otherwise.
func keyboard(buttons []message.Button) params {
	rows := make([][]inlineButton, len(buttons))
	for i, b := range buttons {
		rows[i] = []inlineButton{{Text: b.Title, URL: b.URL, CallbackData: b.Payload}}
	}
	return params{"inline_keyboard": rows}
}

// place adds a location to fields and names the method: a venue when it has a
// name, which sendVenue wants together with an address.
func place(fields params, l message.Location) string {
	fields["latitude"], fields["longitude"] = l.Latitude, l.Longitude
	if l.Name == "" && l.Address == "" {
		return "sendLocation"
	}
	fields["title"], fields["address"] = l.Name, l.Address
	if l.Name == "" {
		fields["title"] = l.Address
	}
	if l.Address == "" {
		fields["address"] = l.Name
	}
	return "sendVenue"
}

// act changes a message that was sent before.
func (c *channel) act(ctx context.Context, part wire.Part) error {
	at, id, err := parseMessageID(part.Target)
	if err != nil {
		return &platform.Error{Class: wire.ErrContentRejected, Reason: err.Error()}
	}
	fields := params{"chat_id": at.chat, "message_id": id}
	switch part.Action {
	case message.TypeEdit:
		return c.edit(ctx, at, fields, part)
	case message.TypeDeletion:
		return c.remove(ctx, at, id, fields)
	case message.TypeReaction:
		return c.react(ctx, at, fields, part.Emoji)
	}
	return &platform.Error{Class: wire.ErrContentRejected, Reason: "Telegram has no " + string(part.Action)}
}

func (c *channel) edit(ctx context.Context, at address, fields params, part wire.Part) error {
	if at.connection != "" {
		fields["business_connection_id"] = at.connection
	}
	if len(part.Buttons) > 0 {
		fields["reply_markup"] = keyboard(part.Buttons)
	}
	fields["text"] = part.Text
	err := c.call(ctx, "editMessageText", fields, nil)
	if saysOneOf(err, "no text in the message to edit") { // a picture: its text is a caption
		delete(fields, "text")
		fields["caption"] = part.Text
		err = c.call(ctx, "editMessageCaption", fields, nil)
	}
	if saysOneOf(err, "message is not modified") {
		return nil // a repeated edit: it stands as desired
	}
	return err
}

func (c *channel) remove(ctx context.Context, at address, id int64, fields params) error {
	var err error
	if at.connection != "" {
		err = c.call(ctx, "deleteBusinessMessages", params{"business_connection_id": at.connection, "message_ids": []int64{id}}, nil)
	} else {
		err = c.call(ctx, "deleteMessage", fields, nil)
	}
	if saysOneOf(err, "message to delete not found") {
		return nil // gone already
	}
	return err
}

func (c *channel) react(ctx context.Context, at address, fields params, emoji string) error {
	if at.connection != "" {
		return &platform.Error{Class: wire.ErrContentRejected, Reason: "Telegram has no reactions of bots in business chats"}
	}
	reactions := []reactionType{}
	if id, custom := strings.CutPrefix(emoji, customEmoji); custom {
		reactions = append(reactions, reactionType{Type: "custom_emoji", CustomEmojiID: id})
	} else if emoji != "" {
		reactions = append(reactions, reactionType{Type: "emoji", Emoji: emoji})
	}
	fields["reaction"] = reactions // an empty list takes it off
	return c.call(ctx, "setMessageReaction", fields, nil)
}

// sendMedia sends a file by its URL, which Telegram fetches, or as an upload.
func (c *channel) sendMedia(ctx context.Context, fields params, a message.Attachment, open func(context.Context, string) (io.ReadCloser, error), sent *tgMessage) error {
	how := methodFor(a)
	if a.Caption != "" {
		fields["caption"] = a.Caption
	}
	if a.MediaID == "" {
		fields[how.field] = a.URL
		return c.callFor(ctx, how.method, fields, sent)
	}
	if open == nil {
		return &platform.Error{Class: wire.ErrRetryable, Reason: "the store's media cannot be opened here"}
	}
	body, err := open(ctx, a.MediaID)
	if err != nil {
		return &platform.Error{Class: wire.ErrRetryable, Reason: "the attachment could not be read from the store", Err: err}
	}
	return c.upload(ctx, how, fields, a, body, sent)
}

const (
	// slowestUpload is the line that an upload must get through in time: 2 Mbit/s
	// in bytes a second, a poor mobile uplink. The largest file takes 3.5 min.
	slowestUpload = 250_000
	// fetchTimeout is for Telegram to fetch a URL, of 20 MB at most, before it
	// answers: the same line again.
	fetchTimeout = 90 * time.Second
)

// SendTimeout implements platform.SendTimeouter.
func (p *Platform) SendTimeout(part wire.Part) time.Duration { return sendTimeout(part) }

// sendTimeout is how long a part may take: what every method may, and for an
// attachment its way to Telegram beside.
func sendTimeout(part wire.Part) time.Duration {
	a := part.Attachment
	switch {
	case a == nil:
		return callTimeout
	case a.MediaID == "":
		return callTimeout + fetchTimeout
	}
	size := a.Size
	if size <= 0 || size > maxUpload {
		size = maxUpload // it is not told, or too large and refused
	}
	return callTimeout + time.Duration(size)*time.Second/slowestUpload
}

// upload streams a multipart form: a file is never in memory as a whole. When
// the store's stream breaks, the form stays without its end, so that Telegram
// refuses it and nothing half is sent.
func (c *channel) upload(ctx context.Context, how sending, fields params, a message.Attachment, body io.ReadCloser, sent *tgMessage) error {
	closeBody := sync.OnceFunc(func() { _ = body.Close() })
	defer closeBody()
	req, err := c.request(ctx, how.method)
	if err != nil {
		return err
	}
	reader, writer := io.Pipe()
	form := multipart.NewWriter(writer)
	done := make(chan struct{})
	var writeErr error // once done is closed
	go func() {
		writeErr = writeForm(form, how, fields, a, body)
		close(done) // before the reader sees it: what broke first is known below
		_ = writer.CloseWithError(writeErr)
	}()
	req.Body = reader
	req.Header.Set("Content-Type", form.FormDataContentType())
	err = c.do(req, how.method, sent)
	select {
	case <-done:
		if writeErr != nil && !errors.Is(writeErr, io.ErrClosedPipe) && !answered(err) {
			return &platform.Error{Class: wire.ErrRetryable, Reason: "the attachment broke off while it was read from the store", Err: writeErr}
		}
	default: // an early answer or a broken connection: let the writer go, wherever it waits
		_ = reader.Close()
		closeBody()
		<-done
	}
	return err
}

// answered says whether the platform itself spoke, rather than the way to it.
func answered(err error) bool {
	var e *platform.Error
	return !errors.As(err, &e) || e.Err == nil
}

func writeForm(form *multipart.Writer, how sending, fields params, a message.Attachment, body io.Reader) error {
	for name, value := range fields {
		text, ok := value.(string)
		if !ok {
			encoded, err := json.Marshal(value)
			if err != nil {
				return err
			}
			text = string(encoded)
		}
		if err := form.WriteField(name, text); err != nil {
			return err
		}
	}
	name := a.Name
	if name == "" {
		name = how.fileName
	}
	part, err := form.CreateFormFile(how.field, name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(part, body); err != nil {
		return err
	}
	return form.Close()
}

// sending is how an attachment goes out.
type sending struct {
	method, field string
	fileName      string // when the attachment has none; Telegram looks at the ending
}

var (
	asPhoto     = sending{"sendPhoto", "photo", "photo.jpg"}
	asAnimation = sending{"sendAnimation", "animation", "animation.gif"}
	asVideo     = sending{"sendVideo", "video", "video.mp4"}
	asAudio     = sending{"sendAudio", "audio", "audio.mp3"}
	asVoice     = sending{"sendVoice", "voice", "voice.ogg"}
	asDocument  = sending{"sendDocument", "document", "file"}
	asSticker   = sending{"sendSticker", "sticker", "sticker.webp"}
)

// maxPhoto is the largest photo; a larger one is sent as a document, whole.
const maxPhoto = 10 << 20

// methodFor chooses by kind and format: what Telegram cannot show in its kind
// arrives as a document instead of not at all.
func methodFor(a message.Attachment) sending {
	mimeType, _, _ := strings.Cut(strings.ToLower(a.MimeType), ";")
	switch a.Kind {
	case message.TypeImage:
		switch {
		case mimeType == "image/gif":
			return asAnimation
		case a.Size > maxPhoto:
			return asDocument
		case mimeType == "", mimeType == "image/jpeg", mimeType == "image/jpg", mimeType == "image/png", mimeType == "image/webp":
			return asPhoto
		}
	case message.TypeVideo:
		if mimeType == "" || mimeType == "video/mp4" {
			return asVideo
		}
	case message.TypeAudio:
		switch mimeType {
		case "audio/ogg", "audio/opus":
			return asVoice
		case "", "audio/mpeg", "audio/mp3", "audio/mp4", "audio/m4a", "audio/x-m4a":
			return asAudio
		}
	case message.TypeSticker:
		return asSticker
	}
	return asDocument
}
