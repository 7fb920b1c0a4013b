package telegram

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf8"
)

// htmlTags maps the tags of HTML mode to types of entities.
var htmlTags = map[string]string{
	"b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
	"s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler", "span": "spoiler",
	"a": "text_link", "code": "code", "pre": "pre", "blockquote": "blockquote", "tg-emoji": "custom_emoji",
}

// parseHTML reads HTML mode.
func parseHTML(text string) (string, []Entity, error) {
	var b builder
	var stack []open
	var entities []Entity
	for i := 0; i < len(text); {
		switch {
		case text[i] == '&':
			r, n := htmlEntity(text[i:])
			b.add(r)
			i += n
		case text[i] != '<':
			r, n := utf8.DecodeRuneInString(text[i:])
			b.add(r)
			i += n
		case at(text, i+1) == '/':
			end, err := closeTag(text, i, stack)
			if err != nil {
				return "", nil, err
			}
			o := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if e, ok := htmlSpan(o, &b); ok {
				entities = addHTML(entities, e)
			}
			i = end
		default:
			o, end, err := openTag(text, i)
			if err != nil {
				return "", nil, err
			}
			o.offset, o.start = b.units, b.out.Len()
			stack = append(stack, o)
			i = end
		}
	}
	if len(stack) > 0 {
		return "", nil, markupError("Can't find end tag corresponding to start tag %q", stack[len(stack)-1].kind)
	}
	for i := range entities {
		if entities[i].Type == "code" {
			entities[i].Language = ""
		}
	}
	return b.out.String(), entities, nil
}

// htmlEntity decodes &lt; &gt; &amp; &quot; and numbers; anything else is text.
func htmlEntity(s string) (rune, int) {
	for _, known := range []struct {
		name string
		r    rune
	}{{"&lt", '<'}, {"&gt", '>'}, {"&amp", '&'}, {"&quot", '"'}} {
		if strings.HasPrefix(s, known.name) {
			n := len(known.name)
			if at(s, n) == ';' {
				n++
			}
			return known.r, n
		}
	}
	if strings.HasPrefix(s, "&#") {
		if end := strings.IndexByte(s[:min(len(s), 10)], ';'); end > 0 {
			if r := []rune(html.UnescapeString(s[:end+1])); len(r) == 1 {
				return r[0], end + 1
			}
		}
	}
	return '&', 1
}

func openTag(text string, begin int) (o open, end int, err error) {
	stop := strings.IndexByte(text[begin:], '>')
	length := strings.IndexAny(text[begin+1:], " \t\r\n>")
	if stop < 0 || length < 0 {
		return o, 0, markupError("Unclosed start tag at byte offset %d", begin)
	}
	name := strings.ToLower(text[begin+1 : begin+1+length])
	if htmlTags[name] == "" {
		return o, 0, markupError("Unsupported start tag %q at byte offset %d", name, begin)
	}
	o = open{kind: name, begin: begin}
	attributes := text[begin+1+length : begin+stop]
	for _, want := range []struct{ tag, name, prefix string }{
		{"a", "href", ""}, {"code", "class", "language-"}, {"span", "class", "tg-"}, {"tg-emoji", "emoji-id", ""},
	} {
		if want.tag == name {
			o.argument = strings.TrimPrefix(attribute(attributes, want.name), want.prefix)
		}
	}
	if name == "blockquote" && strings.Contains(attributes, "expandable") {
		o.argument = "1"
	}
	if name == "span" && o.argument != "spoiler" {
		return o, 0, markupError(`Tag "span" must have class "tg-spoiler" at byte offset %d`, begin)
	}
	return o, begin + stop + 1, nil
}

// attribute finds name="value" in the inside of a tag.
func attribute(s, name string) string {
	_, rest, ok := strings.Cut(s, name+"=")
	if !ok || rest == "" {
		return ""
	}
	if q := rest[0]; q == '"' || q == '\'' {
		value, _, _ := strings.Cut(rest[1:], string(q))
		return html.UnescapeString(value)
	}
	return strings.ToLower(rest[:strings.IndexAny(rest+" ", " /")])
}

func closeTag(text string, begin int, stack []open) (end int, err error) {
	if len(stack) == 0 {
		return 0, markupError("Unexpected end tag at byte offset %d", begin)
	}
	stop := strings.IndexByte(text[begin:], '>')
	if stop < 0 {
		return 0, markupError("Unclosed end tag at byte offset %d", begin)
	}
	name := strings.ToLower(strings.TrimSpace(text[begin+2 : begin+stop]))
	if want := stack[len(stack)-1].kind; name != "" && name != want {
		return 0, markupError(`Unmatched end tag at byte offset %d, expected "</%s>", found "</%s>"`, begin, want, name)
	}
	return begin + stop + 1, nil
}

// htmlSpan makes the entity of a closed tag; ok is false when it marks nothing.
func htmlSpan(o open, b *builder) (e Entity, ok bool) {
	e = Entity{Type: htmlTags[o.kind], Offset: o.offset, Length: b.units - o.offset}
	switch o.kind {
	case "a":
		if e.URL = o.argument; e.URL == "" {
			e.URL = b.out.String()[o.start:]
		}
		if id, ok := strings.CutPrefix(e.URL, "tg://user?id="); ok {
			n, _ := strconv.ParseInt(id, 10, 64)
			e.Type, e.URL, e.User = "text_mention", "", &User{ID: n}
		} else if !strings.Contains(e.URL, ".") && !strings.HasPrefix(e.URL, "tg://") {
			return e, false
		}
	case "tg-emoji":
		e.CustomEmojiID = o.argument
	case "blockquote":
		if o.argument != "" {
			e.Type = "expandable_blockquote"
		}
	case "code":
		e.Language = o.argument
	}
	return e, e.Length > 0
}

// addHTML adds an entity; <pre><code class="language-go"> becomes one code
// block with a language.
func addHTML(entities []Entity, e Entity) []Entity {
	if n := len(entities); n > 0 && e.Type == "pre" {
		if c := entities[n-1]; c.Type == "code" && c.Offset == e.Offset && c.Length == e.Length {
			e.Language = c.Language
			entities = entities[:n-1]
		}
	}
	return append(entities, e)
}
