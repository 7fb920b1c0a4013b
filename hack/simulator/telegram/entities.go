package telegram

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Len is the length of a text as Telegram counts: UTF-16 code units.
func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// maxRawText is the longest text in bytes before anything else is looked at.
const maxRawText = 1 << 15

// formatted reads a text with parse_mode or with entities, as sent by a bot.
func formatted(text, mode, entities string) (string, []Entity, *apiError) {
	if len(text) > maxRawText {
		return "", nil, badRequest("Text is too long")
	}
	var found []Entity
	var err error
	switch mode = strings.ToLower(mode); {
	case text == "" || mode == "" || mode == "none":
		var bad *apiError
		if found, bad = parseEntities(entities); bad != nil {
			return "", nil, bad
		}
	case mode == "markdown":
		text, found, err = parseMarkdown(text)
	case mode == "markdownv2":
		text, found, err = parseMarkdownV2(text)
	case mode == "html":
		text, found, err = parseHTML(text)
	default:
		return "", nil, badRequest("Unsupported parse_mode")
	}
	if err != nil {
		return "", nil, badRequest("Can't parse entities: %v", err)
	}
	text, found = tidy(text, found)
	return text, found, nil
}

// entityTypes are the types that a bot may name, and whether they stay: the
// server finds mentions, links and the like itself.
var entityTypes = map[string]bool{
	"bold": true, "italic": true, "underline": true, "strikethrough": true, "spoiler": true, "code": true, "pre": true,
	"text_link": true, "text_mention": true, "custom_emoji": true, "blockquote": true, "expandable_blockquote": true,
	"mention": false, "hashtag": false, "cashtag": false, "bot_command": false, "url": false, "email": false,
	"phone_number": false, "bank_card_number": false,
}

// parseEntities reads the entities parameter. What is no array is ignored, as
// in the real server; a wrong element is refused.
func parseEntities(text string) ([]Entity, *apiError) {
	list, _, _ := parseArray(text) // no list, no entities
	var out []Entity
	for _, raw := range list {
		o, ok, _ := parseObject(string(raw))
		if !ok {
			return nil, badRequest("Can't parse MessageEntity: expected an Object")
		}
		e, keep, bad := parseEntity(o)
		if bad != nil {
			return nil, wrap("Can't parse MessageEntity", bad)
		}
		if keep {
			out = append(out, e)
		}
	}
	return out, nil
}

func parseEntity(o object) (e Entity, keep bool, bad *apiError) {
	offset, bad := o.integer("offset")
	if bad != nil {
		return e, false, bad
	}
	length, bad := o.integer("length")
	if bad != nil {
		return e, false, bad
	}
	e.Offset, e.Length = int(offset), int(length)
	if e.Type, bad = o.text("type", true); bad != nil {
		return e, false, bad
	}
	keep, known := entityTypes[e.Type]
	switch {
	case e.Type == "":
		return e, false, badRequest("Type is not specified")
	case !known:
		return e, false, badRequest("Unsupported type specified")
	case e.Type == "text_link":
		e.URL, bad = o.text("url", true)
	case e.Type == "pre":
		e.Language, bad = o.text("language", false)
	case e.Type == "custom_emoji":
		e.CustomEmojiID, bad = o.text("custom_emoji_id", true)
	case e.Type == "text_mention":
		var user object
		if user, bad = o.inner("user"); bad == nil {
			var id int64
			id, bad = user.integer("id")
			e.User = &User{ID: id}
		}
	}
	return e, keep, bad
}

// tidy trims a text, cuts its entities to what is left, adds those that
// Telegram finds by itself, and sorts them.
func tidy(text string, entities []Entity) (string, []Entity) {
	text = strings.ReplaceAll(text, "\r", "")
	text = strings.TrimRightFunc(text, unicode.IsSpace)
	trimmed := strings.TrimLeftFunc(text, unicode.IsSpace)
	shift := utf16Len(text) - utf16Len(trimmed)
	length := utf16Len(trimmed)
	var out []Entity
	for _, e := range entities {
		start := max(e.Offset-shift, 0)
		end := min(e.Offset+e.Length-shift, length)
		if end > start {
			e.Offset, e.Length = start, end-start
			out = append(out, e)
		}
	}
	out = out[:min(len(out), maxEntities)]
	for _, e := range findEntities(trimmed) {
		overlaps := func(o Entity) bool {
			return e.Offset < o.Offset+o.Length && o.Offset < e.Offset+e.Length &&
				(o.Type == "code" || o.Type == "pre" || o.Type == "text_link")
		}
		if !slices.ContainsFunc(out, overlaps) {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b Entity) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(b.Length, a.Length))
	})
	return trimmed, out[:min(len(out), maxEntities)]
}

// finders are simple forms of what Telegram marks by itself. The group is what
// gets marked.
var finders = []struct {
	kind string
	re   *regexp.Regexp
}{
	{"bot_command", regexp.MustCompile(`(?:^|[\s(])(/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{3,32})?)\b`)},
	{"email", regexp.MustCompile(`\b([A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,})\b`)},
	{"mention", regexp.MustCompile(`(?:^|[\s(])(@[A-Za-z][A-Za-z0-9_]{3,31})\b`)},
	{"hashtag", regexp.MustCompile(`(?:^|\s)(#[\p{L}\p{N}_]+)`)},
	{"url", regexp.MustCompile(`\b(https?://[^\s<>"]+[^\s<>".,;:!?)])`)},
}

// maxEntities is how many entities of a message are kept.
const maxEntities = 100

// findEntities marks commands, links, mentions and the like.
func findEntities(text string) []Entity {
	var out []Entity
	for _, f := range finders {
		for _, m := range f.re.FindAllStringSubmatchIndex(text, maxEntities) {
			out = append(out, Entity{Type: f.kind, Offset: utf16Len(text[:m[2]]), Length: utf16Len(text[m[2]:m[3]])})
		}
	}
	return out
}

// blank says whether a text has nothing to show: spaces and control characters.
func blank(text string) bool {
	for _, r := range text {
		if !unicode.IsSpace(r) && !unicode.IsControl(r) && r != '\u200b' && r != '\u2060' && r != utf8.RuneError {
			return false
		}
	}
	return true
}
