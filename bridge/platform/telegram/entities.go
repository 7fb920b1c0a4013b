package telegram

import (
	"strconv"
	"unicode/utf16"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// entity is MessageEntity.
type entity struct {
	Type          string `json:"type"`
	Offset        int    `json:"offset"` // in UTF-16 code units
	Length        int    `json:"length"`
	URL           string `json:"url"`
	User          *user  `json:"user"`
	Language      string `json:"language"`
	CustomEmojiID string `json:"custom_emoji_id"`
}

// entityKinds are Telegram's names where ours differ. What is in neither keeps
// Telegram's: bold, italic, spoiler, hashtag, cashtag …
var entityKinds = map[string]string{
	"url": "link", "text_link": "link", "text_mention": "mention", "bot_command": "command",
	"phone_number": "phone", "custom_emoji": "emoji", "expandable_blockquote": "blockquote",
}

// entitiesOf are the entities of a text. One that lies outside of it is left
// out: it would break whoever cuts the text by it.
func entitiesOf(text string, list []entity) []message.Entity {
	var out []message.Entity
	length := utf16Len(text)
	for _, e := range list {
		if e.Type == "" || len(e.Type) > maxKind || e.Offset < 0 || e.Length <= 0 || e.Length > length || e.Offset > length-e.Length {
			continue
		}
		m := message.Entity{Kind: e.Type, Offset: e.Offset, Length: e.Length, URL: e.URL, Language: e.Language, ExternalID: e.CustomEmojiID}
		if kind, ok := entityKinds[e.Type]; ok {
			m.Kind = kind
		}
		if e.User != nil && e.User.ID != 0 {
			m.ExternalID = strconv.FormatInt(e.User.ID, 10)
		}
		out = append(out, m)
	}
	return out
}

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}
