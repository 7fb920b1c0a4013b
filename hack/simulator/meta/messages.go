package meta

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of the Send API.
const (
	window         = 24 * time.Hour
	humanWindow    = 7 * 24 * time.Hour
	maxPageText    = 2000 // characters
	maxDirectText  = 1000 // bytes of UTF-8
	maxMetadata    = 1000
	maxQuick       = 13
	maxQuickTitle  = 20
	maxPayload     = 1000
	maxButtons     = 3
	maxButtonTitle = 20
	maxTemplate    = 640
	maxCards       = 10
	maxCardText    = 80
	maxUpload      = 25 << 20 // bytes
)

// messages is /{account}/messages.
func (c *call) messages(a *account) (any, *graphError) {
	if c.method != http.MethodPost {
		return nil, invalid("Unsupported %s request.", strings.ToLower(c.method))
	}
	if !slices.Contains(c.scopes, "pages_messaging") && !slices.Contains(c.scopes, "instagram_manage_messages") {
		return nil, refuse(230, 0, "Requires pages_messaging permission to manage the object")
	}
	target := a
	if !a.Instagram && a.linked != "" { // the page speaks for the Instagram account whose person is named
		if linked := c.s.accounts[a.linked]; c.recipientOf(a) == nil && c.recipientOf(linked) != nil {
			target = linked
		}
	}
	t := c.recipientOf(target)
	if t == nil {
		return nil, refuse(100, 2018001, "No matching user found")
	}
	if t.Blocked {
		return nil, refuse(551, 1545041, "This person isn't available right now.")
	}
	if action := c.text("sender_action"); action != "" {
		return c.senderAction(target, t, action)
	}
	if err := c.checkWindow(target, t); err != nil {
		return nil, err
	}
	return c.sendMessage(target, t)
}

func (c *call) recipientOf(a *account) *thread {
	var to struct {
		ID      string `json:"id"`
		UserRef string `json:"user_ref"`
	}
	if json.Unmarshal(c.params["recipient"], &to) != nil {
		return nil
	}
	if to.UserRef != "" {
		for _, t := range a.threads {
			if t.UserRef == to.UserRef {
				return t
			}
		}
		return nil
	}
	return a.threads[to.ID]
}

// checkWindow: within a day of the person's last word everything, within a week
// a human agent, after it nothing.
func (c *call) checkWindow(a *account, t *thread) *graphError {
	kind, tag := c.text("messaging_type"), c.text("tag")
	switch kind {
	case "", "RESPONSE", "UPDATE":
		if tag != "" {
			return invalid("Param tag may be used with messaging_type MESSAGE_TAG only")
		}
	case "MESSAGE_TAG":
		if tag != "HUMAN_AGENT" {
			return refuse(100, 0, "Param tag must be HUMAN_AGENT")
		}
		if !c.app.HumanAgent {
			return refuse(10, 2018300, "To use the Human Agent tag, the app needs to be approved for it.")
		}
	default:
		return invalid("Param messaging_type must be one of {RESPONSE, UPDATE, MESSAGE_TAG}")
	}
	ago := c.s.opt.Now().Sub(t.LastInbound)
	if ago <= window || kind == "MESSAGE_TAG" && ago <= humanWindow {
		return nil
	}
	if a.Instagram {
		return refuse(10, 2534022, "This message is sent outside of allowed window.")
	}
	return refuse(10, 2018278, "This message is sent outside of allowed window.")
}

func (c *call) senderAction(a *account, t *thread, action string) (any, *graphError) {
	if c.params["message"] != nil {
		return nil, invalid("Param sender_action cannot be sent with message")
	}
	result := map[string]any{"recipient_id": t.ID}
	switch action {
	case "typing_on", "typing_off", "mark_seen":
		a.note(c.s, t, Entry{From: fromShop, Event: action})
		return result, nil
	case "react", "unreact":
	default:
		return nil, invalid("Param sender_action must be one of {MARK_SEEN, TYPING_ON, TYPING_OFF, REACT, UNREACT}")
	}
	var p struct {
		MessageID string `json:"message_id"`
		Reaction  string `json:"reaction"`
	}
	_ = json.Unmarshal(c.params["payload"], &p)
	switch {
	case !a.Instagram:
		return nil, invalid("Param sender_action %s is not supported on Messenger", action)
	case t.find(p.MessageID) == nil:
		return nil, invalid("Param payload[message_id] is not a message of this conversation")
	case action == "react" && !slices.Contains([]string{"smile", "angry", "sad", "wow", "love", "like", "dislike"}, p.Reaction):
		return nil, invalid("Param payload[reaction] is not a reaction")
	}
	a.note(c.s, t, Entry{From: fromShop, Event: action, MID: p.MessageID, Detail: p.Reaction})
	return result, nil
}

// outMessage is the message object of a send.
type outMessage struct {
	Text         *string         `json:"text"`
	Metadata     string          `json:"metadata"`
	QuickReplies []outQuickReply `json:"quick_replies"`
	Attachment   *outAttachment  `json:"attachment"`
}

type outQuickReply struct {
	ContentType string `json:"content_type"`
	Title       string `json:"title"`
	Payload     string `json:"payload"`
	ImageURL    string `json:"image_url"`
}

type outAttachment struct {
	Type    string     `json:"type"`
	Payload outPayload `json:"payload"`
}

type outPayload struct {
	URL          string      `json:"url"`
	IsReusable   bool        `json:"is_reusable"`
	AttachmentID string      `json:"attachment_id"`
	TemplateType string      `json:"template_type"`
	Text         string      `json:"text"`
	Buttons      []outButton `json:"buttons"`
	Elements     []outCard   `json:"elements"`
}

type outButton struct {
	Type    string `json:"type"`
	Title   string `json:"title"`
	Payload string `json:"payload"`
	URL     string `json:"url"`
}

type outCard struct {
	Title         string      `json:"title"`
	Subtitle      string      `json:"subtitle"`
	ImageURL      string      `json:"image_url"`
	DefaultAction *outButton  `json:"default_action"`
	Buttons       []outButton `json:"buttons"`
}

func (c *call) sendMessage(a *account, t *thread) (any, *graphError) {
	dec := json.NewDecoder(strings.NewReader(string(c.params["message"])))
	dec.DisallowUnknownFields()
	var m outMessage
	if err := dec.Decode(&m); err != nil {
		return nil, invalid("Invalid keys were found in param \"message\": %v", err)
	}
	if err := m.check(a); err != nil {
		return nil, err
	}
	var reply struct {
		MID string `json:"mid"`
	}
	if raw := c.params["reply_to"]; raw != nil {
		if json.Unmarshal(raw, &reply) != nil || t.find(reply.MID) == nil {
			return nil, invalid("Param reply_to[mid] is not a message of this conversation")
		}
	}
	out := &Message{MID: a.newMID(c.s), From: fromShop, Text: m.text(), Metadata: m.Metadata, ReplyTo: reply.MID, Tag: c.text("tag"), App: c.app.ID, Raw: c.params["message"]}
	t.add(out)
	a.note(c.s, t, Entry{From: fromShop, Event: "message", MID: out.MID, Message: out})
	c.s.echo(a, t, out, m)
	return map[string]any{"recipient_id": t.ID, "message_id": out.MID}, nil
}

func (m outMessage) text() string {
	switch {
	case m.Text != nil:
		return *m.Text
	case m.Attachment != nil && m.Attachment.Payload.Text != "":
		return m.Attachment.Payload.Text
	}
	return ""
}

// check refuses what the Send API refuses.
func (m outMessage) check(a *account) *graphError {
	switch {
	case (m.Text == nil) == (m.Attachment == nil):
		return invalid("Must upload exactly one file or text: param message needs either text or attachment")
	case m.Text != nil && strings.TrimSpace(*m.Text) == "":
		return invalid("Param message[text] must be a non-empty UTF-8 encoded string")
	case m.Text != nil && a.Instagram && len(*m.Text) > maxDirectText:
		return invalid("Length of param message[text] must be less than or equal to %d", maxDirectText)
	case m.Text != nil && utf8.RuneCountInString(*m.Text) > maxPageText:
		return invalid("Length of param message[text] must be less than or equal to %d", maxPageText)
	case utf8.RuneCountInString(m.Metadata) >= maxMetadata:
		return invalid("Length of param message[metadata] must be less than %d", maxMetadata)
	case len(m.QuickReplies) > maxQuick:
		return invalid("Param message[quick_replies] must have at most %d elements", maxQuick)
	}
	for i, q := range m.QuickReplies {
		if q.ContentType != "text" || outside(q.Title, maxQuickTitle) || outside(q.Payload, maxPayload) {
			return invalid("Param message[quick_replies][%d] is invalid: a text has a title of up to %d and a payload of up to %d characters", i, maxQuickTitle, maxPayload)
		}
	}
	if m.Attachment != nil {
		return m.Attachment.check(a)
	}
	return nil
}

// outside says that a text is empty or longer than allowed.
func outside(s string, limit int) bool {
	n := utf8.RuneCountInString(s)
	return n == 0 || n > limit
}

func (at outAttachment) check(a *account) *graphError {
	p := at.Payload
	switch at.Type {
	case "image", "video", "audio", "file":
		switch {
		case (p.URL == "") == (p.AttachmentID == ""):
			return invalid("Param message[attachment][payload] needs either url or attachment_id")
		case p.URL != "" && !webURL(p.URL):
			return refuse(100, 2018047, "Upload attachment failure. A common way to get this error is that the provided media type does not match type of file provided in the URL")
		case p.AttachmentID != "" && a.uploads[p.AttachmentID] != at.Type:
			return refuse(100, 2018074, "Invalid Data")
		}
		return nil
	case "template":
		return p.checkTemplate()
	}
	return invalid("Param message[attachment][type] must be one of {audio, file, image, template, video}")
}

func (p outPayload) checkTemplate() *graphError {
	switch p.TemplateType {
	case "button":
		if outside(p.Text, maxTemplate) || len(p.Buttons) == 0 {
			return invalid("Param message[attachment][payload]: a button template has a text of up to %d characters and buttons", maxTemplate)
		}
		return checkButtons("message[attachment][payload]", p.Buttons)
	case "generic":
		if len(p.Elements) == 0 || len(p.Elements) > maxCards {
			return invalid("Param message[attachment][payload][elements] must have 1 to %d elements", maxCards)
		}
		for i, e := range p.Elements {
			field := fmt.Sprintf("message[attachment][payload][elements][%d]", i)
			switch {
			case outside(e.Title, maxCardText) || utf8.RuneCountInString(e.Subtitle) > maxCardText:
				return invalid("Param %s: title and subtitle have up to %d characters", field, maxCardText)
			case e.Subtitle == "" && e.ImageURL == "" && e.DefaultAction == nil && len(e.Buttons) == 0:
				return invalid("Param %s must have at least one property set in addition to title", field)
			case e.ImageURL != "" && !webURL(e.ImageURL):
				return invalid("Param %s[image_url] is not a URL", field)
			case e.DefaultAction != nil && (e.DefaultAction.Type != "web_url" || e.DefaultAction.Title != "" || !webURL(e.DefaultAction.URL)):
				return invalid("Param %s[default_action] must be a web_url without a title", field)
			}
			if err := checkButtons(field, e.Buttons); err != nil {
				return err
			}
		}
		return nil
	}
	return invalid("Param message[attachment][payload][template_type] must be one of {button, generic}")
}

func checkButtons(field string, buttons []outButton) *graphError {
	if len(buttons) > maxButtons {
		return invalid("Param %s[buttons] must have at most %d elements", field, maxButtons)
	}
	for i, b := range buttons {
		valid := b.Type == "postback" && !outside(b.Payload, maxPayload) && b.URL == "" || b.Type == "web_url" && webURL(b.URL) && b.Payload == ""
		if !valid || outside(b.Title, maxButtonTitle) {
			return invalid("Param %s[buttons][%d] is invalid", field, i)
		}
	}
	return nil
}

func webURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// attachments is /{account}/message_attachments.
func (c *call) attachments(a *account) (any, *graphError) {
	var m struct {
		Attachment outAttachment `json:"attachment"`
	}
	if json.Unmarshal(c.params["message"], &m) != nil {
		return nil, invalid("Param message must be a JSON object")
	}
	prefix, known := map[string]string{"image": "image/", "video": "video/", "audio": "audio/", "file": ""}[m.Attachment.Type]
	switch {
	case !known:
		return nil, invalid("Param message[attachment][type] must be one of {audio, file, image, video}")
	case !m.Attachment.Payload.IsReusable:
		return nil, invalid("Param message[attachment][payload][is_reusable] must be true")
	case c.upload == nil:
		return nil, invalid("Must upload exactly one file")
	case len(c.upload.data) > maxUpload:
		return nil, refuse(100, 2018109, "Attachment size exceeds allowable limit.")
	case !strings.HasPrefix(c.upload.mimeType, prefix):
		return nil, refuse(100, 2018047, "Upload attachment failure: the media type does not match the type of the file.")
	}
	if a.linked != "" && c.text("platform") == "instagram" {
		a = c.s.accounts[a.linked]
	}
	id := fmt.Sprint(1_000_000_000_000_000 + c.s.id())
	a.uploads[id] = m.Attachment.Type
	a.noteUpload(c.upload)
	return map[string]string{"attachment_id": id}, nil
}
