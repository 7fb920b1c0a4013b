package meta

import (
	"encoding/json"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// media are the types of attachments that are a file behind payload.url.
var media = map[text]message.Type{
	"image": message.TypeImage, "video": message.TypeVideo, "audio": message.TypeAudio, "file": message.TypeFile,
	"sticker": message.TypeSticker, "reel": message.TypeVideo, "ig_reel": message.TypeVideo, "ig_post": message.TypeFile,
}

// storyReason stands on the attachment of a story.
const storyReason = "stories end after a day and must not be kept; it can be seen in the platform's app"

// thumbs are the stickers of the thumb button, small to large.
var thumbs = map[text]bool{"369239263222822": true, "369239343222814": true, "369239383222810": true}

// attach adds one attachment to a message; the first one gives it its type.
func attach(m *message.Message, raw json.RawMessage) {
	var in inAttachment
	if !decode(raw, &in) {
		in.Type = "unreadable"
	}
	url, title := firstOf(in.Payload.URL, in.URL), firstOf(in.Payload.Title, in.Title)
	kind := media[in.Type]
	switch {
	case in.Payload.StickerID != "" && url != "":
		if thumbs[in.Payload.StickerID] && m.Text == "" {
			m.Text = "👍"
		}
		attachFile(m, message.TypeSticker, url, "")
	case kind != "" && url != "":
		attachFile(m, kind, url, title)
	case in.Type == "location" && attachLocation(m, in, title):
	case in.Type == "template" && attachTemplate(m, in.Payload):
	case in.Type == "like_heart":
		m.Text = strings.TrimSpace(m.Text + " ❤️")
	case in.Type == "story_mention":
		m.Attachments = append(m.Attachments, message.Attachment{Kind: message.TypeFile, State: message.MediaUnavailable, Reason: storyReason})
		m.Referral = &message.Referral{Source: sourceStory, Kind: "MENTION"}
		settle(m, message.TypeFile)
	case in.Type == "share" && url != "":
		attachFile(m, message.TypeFile, url, title)
	case in.Type == "fallback" && (url != "" || title != "" || m.Text != ""): // the preview of a link
		if m.Text == "" {
			m.Text = strings.TrimSpace(title + "\n" + url)
		}
	default:
		m.Unsupported = string(in.Type)
		if m.Unsupported == "" {
			m.Unsupported = "attachment"
		}
		if m.Text == "" && len(m.Attachments) == 0 {
			m.Type = message.TypeUnsupported
		} else {
			m.Unsupported = ""
		}
	}
}

// settle gives a message its type unless something before has.
func settle(m *message.Message, t message.Type) {
	switch m.Type {
	case message.TypeText:
		m.Type = t
	case message.TypeUnsupported:
		m.Type, m.Unsupported = t, ""
	}
}

func attachFile(m *message.Message, kind message.Type, url, caption string) {
	m.Attachments = append(m.Attachments, message.Attachment{Kind: kind, Ref: url, Caption: caption})
	settle(m, kind)
}

func attachLocation(m *message.Message, in inAttachment, title string) bool {
	at := in.Payload.Coordinates
	if at == nil || at.Lat == nil || at.Long == nil {
		return false
	}
	m.Location = &message.Location{Latitude: *at.Lat, Longitude: *at.Long, Name: title}
	settle(m, message.TypeLocation)
	return true
}

// attachTemplate takes over what a template shows. They come in echoes, and
// from people who share a product of the shop.
func attachTemplate(m *message.Message, p inPayload) bool {
	t := &p.inTemplate
	if p.Generic != nil {
		t = p.Generic
	} else if p.Product != nil {
		t = p.Product
	}
	if t.Text == "" && len(t.Elements) == 0 {
		return false
	}
	if m.Text == "" {
		m.Text = string(t.Text)
	}
	m.Buttons = buttonsOf(t.Buttons)
	if len(m.Buttons) > 0 {
		m.ButtonStyle = message.ButtonStyleButtons
	}
	if len(t.Elements) == 0 {
		return true // a button template is a text with buttons
	}
	m.Template = &message.Template{}
	for _, e := range t.Elements {
		card := message.Card{Title: string(e.Title), Subtitle: string(e.Subtitle), ImageURL: string(e.ImageURL), Buttons: buttonsOf(e.Buttons)}
		if e.DefaultAction != nil {
			card.URL = string(e.DefaultAction.URL)
		}
		m.Template.Cards = append(m.Template.Cards, card)
	}
	settle(m, message.TypeTemplate)
	return true
}

func buttonsOf(in []inButton) []message.Button {
	var out []message.Button
	for _, b := range in {
		out = append(out, message.Button{Title: string(b.Title), Payload: string(b.Payload), URL: string(b.URL)})
	}
	return out
}

func firstOf(values ...text) string {
	for _, v := range values {
		if v != "" {
			return string(v)
		}
	}
	return ""
}
