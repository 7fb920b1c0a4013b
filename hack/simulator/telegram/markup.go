package telegram

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// builder collects the text without its markup, counting UTF-16 code units.
type builder struct {
	out   strings.Builder
	units int
}

func (b *builder) add(r rune) {
	b.out.WriteRune(r)
	b.units++
	if r > 0xffff {
		b.units++
	}
}

// at returns the byte at i, or 0 past the end.
func at(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}

// open is an entity whose end was not found yet.
type open struct {
	kind, argument string
	offset         int // UTF-16 units
	begin          int // byte offset in the source, for errors
	start          int // byte offset in the result
}

// displayNames are the names of entities in error texts.
var displayNames = map[string]string{
	"bold": "Bold", "italic": "Italic", "underline": "Underline", "strikethrough": "Strikethrough", "spoiler": "Spoiler",
	"code": "Code", "pre": "Pre", "text_link": "TextUrl", "custom_emoji": "CustomEmoji", "blockquote": "BlockQuote",
}

// markupError is a mistake in a bot's markup, in Telegram's words, which begin
// with a capital letter.
func markupError(format string, args ...any) error { return textError(fmt.Sprintf(format, args...)) }

type textError string

func (e textError) Error() string { return string(e) }

func unclosed(o open) error {
	name := displayNames[o.kind]
	if o.kind == "pre" && o.argument != "" {
		name = "PreCode"
	}
	return markupError("Can't find end of %s entity at byte offset %d", name, o.begin)
}

func reserved(c byte) error {
	return markupError(`Character '%c' is reserved and must be escaped with the preceding '\'`, c)
}

// parseMarkdown reads the old Markdown: no nesting, no escapes inside.
func parseMarkdown(text string) (string, []Entity, error) {
	var b builder
	var entities []Entity
	for i := 0; i < len(text); {
		c := text[i]
		if c == '\\' && strings.IndexByte("_*`[", at(text, i+1)) >= 0 && i+1 < len(text) {
			b.add(rune(text[i+1]))
			i += 2
			continue
		}
		if strings.IndexByte("_*`[", c) < 0 {
			r, n := utf8.DecodeRuneInString(text[i:])
			b.add(r)
			i += n
			continue
		}
		begin, offset := i, b.units
		end, body, next := markdownSpan(text, i)
		if end < 0 {
			return "", nil, markupError("Can't find end of the entity starting at byte offset %d", begin)
		}
		for _, r := range body {
			b.add(r)
		}
		i = next
		e := Entity{Type: map[byte]string{'_': "italic", '*': "bold", '`': "code", '[': "text_link"}[c], Offset: offset, Length: b.units - offset}
		if strings.HasPrefix(text[begin:], "```") {
			e.Type = "pre"
		}
		if c == '[' {
			e.URL = body
			if at(text, end+1) == '(' {
				if stop := strings.IndexByte(text[end:], ')'); stop >= 0 {
					e.URL, i = text[end+2:end+stop], end+stop+1
				} else {
					e.URL, i = text[end+2:], len(text)
				}
			}
			if !strings.Contains(e.URL, ".") {
				continue // not a link: the text stays, unmarked
			}
		}
		if e.Length > 0 {
			entities = append(entities, e)
		}
	}
	return b.out.String(), entities, nil
}

// markdownSpan finds the end of the entity that begins at i.
func markdownSpan(text string, i int) (end int, body string, next int) {
	mark := text[i : i+1]
	switch {
	case mark == "[":
		mark = "]"
	case strings.HasPrefix(text[i:], "```"):
		mark = "```"
	}
	from := i + len(mark)
	n := strings.Index(text[min(from, len(text)):], mark)
	if n < 0 {
		return -1, "", 0
	}
	return from + n, text[from : from+n], from + n + len(mark)
}

// parseMarkdownV2 reads MarkdownV2.
func parseMarkdownV2(text string) (string, []Entity, error) {
	p := &v2{text: text, lineStart: true}
	for p.i < len(p.text) {
		if err := p.step(); err != nil {
			return "", nil, err
		}
	}
	p.endQuote()
	if len(p.stack) > 0 {
		return "", nil, unclosed(p.stack[len(p.stack)-1])
	}
	return p.b.out.String(), p.entities, nil
}

// v2 is the state of parseMarkdownV2.
type v2 struct {
	text      string
	i         int
	b         builder
	stack     []open
	entities  []Entity
	quote     bool // inside a block quotation
	lineStart bool // a quotation can begin here
}

func (p *v2) top() string {
	if len(p.stack) == 0 {
		return ""
	}
	return p.stack[len(p.stack)-1].kind
}

func (p *v2) step() error {
	c := p.text[p.i]
	if next := at(p.text, p.i+1); c == '\\' && next > 0 && next <= 126 {
		p.b.add(rune(next))
		p.lineStart = next == '\n'
		p.i += 2
		return nil
	}
	special := "_*[]()~`>#+-=|{}.!\n"
	if top := p.top(); top == "code" || top == "pre" {
		special = "`"
	}
	if strings.IndexByte(special, c) < 0 {
		r, n := utf8.DecodeRuneInString(p.text[p.i:])
		p.b.add(r)
		p.lineStart = false
		p.i += n
		return nil
	}
	if c == '\n' {
		if p.quote && at(p.text, p.i+1) != '>' {
			if p.endQuote(); p.quote {
				return unclosed(p.stack[len(p.stack)-1])
			}
		}
		p.b.add('\n')
		p.lineStart = true
		p.i++
		return nil
	}
	if mark, ok := p.closes(); ok {
		return p.close(mark)
	}
	return p.open(c)
}

// closes says whether the innermost entity ends here, and with which mark.
func (p *v2) closes() (string, bool) {
	rest := p.text[p.i:]
	marks := map[string]string{
		"bold": "*", "italic": "_", "code": "`", "pre": "```", "text_link": "]", "underline": "__", "strikethrough": "~",
		"spoiler": "||", "custom_emoji": "]",
	}
	mark := marks[p.top()]
	if mark == "" || !strings.HasPrefix(rest, mark) || (mark == "_" && strings.HasPrefix(rest, "__")) {
		return "", false
	}
	return mark, true
}

func (p *v2) open(c byte) error {
	rest, begin := p.text[p.i:], p.i
	var kind, argument string
	switch {
	case strings.HasPrefix(rest, "__"):
		kind, p.i = "underline", p.i+2
	case c == '_':
		kind, p.i = "italic", p.i+1
	case c == '*':
		kind, p.i = "bold", p.i+1
	case c == '~':
		kind, p.i = "strikethrough", p.i+1
	case strings.HasPrefix(rest, "||"):
		kind, p.i = "spoiler", p.i+2
	case c == '[':
		kind, p.i = "text_link", p.i+1
	case strings.HasPrefix(rest, "!["):
		kind, p.i = "custom_emoji", p.i+2
	case strings.HasPrefix(rest, "```"):
		kind, p.i = "pre", p.i+3
		argument = p.language()
	case c == '`':
		kind, p.i = "code", p.i+1
	case c == '>' && p.lineStart:
		p.i++
		if p.quote {
			return nil // the next line of the same quotation
		}
		kind, p.quote = "blockquote", true
	default:
		return reserved(c)
	}
	p.stack = append(p.stack, open{kind: kind, argument: argument, offset: p.b.units, begin: begin, start: p.b.out.Len()})
	return nil
}

// language reads the language of a code block and skips one line break.
func (p *v2) language() string {
	end := p.i
	for end < len(p.text) && !strings.ContainsRune(" \t\r\n`", rune(p.text[end])) {
		end++
	}
	language := ""
	if end > p.i && end < len(p.text) && p.text[end] != '`' {
		language, p.i = p.text[p.i:end], end
	}
	if at(p.text, p.i) == '\n' {
		p.i++
	}
	return language
}

func (p *v2) close(mark string) error {
	o := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	p.i += len(mark)
	e := Entity{Type: o.kind, Offset: o.offset, Length: p.b.units - o.offset, Language: o.argument}
	if mark == "]" {
		if at(p.text, p.i) != '(' {
			if o.kind == "custom_emoji" {
				return markupError("Custom emoji entity must contain a tg://emoji URL")
			}
			e.URL = p.b.out.String()[o.start:]
		} else {
			url, err := p.url(o.kind)
			if err != nil {
				return err
			}
			e.URL = url
		}
		if o.kind == "custom_emoji" {
			_, e.CustomEmojiID, _ = strings.Cut(e.URL, "tg://emoji?id=")
			e.URL = ""
		} else if !strings.Contains(e.URL, ".") && !strings.HasPrefix(e.URL, "tg://") {
			return nil // not a link: the text stays, unmarked
		}
	}
	if e.Length > 0 {
		p.entities = append(p.entities, e)
	}
	return nil
}

// url reads "(…)" after a link text.
func (p *v2) url(kind string) (string, error) {
	begin := p.i + 1
	var out strings.Builder
	for p.i = begin; p.i < len(p.text) && p.text[p.i] != ')'; p.i++ {
		if p.text[p.i] == '\\' && p.i+1 < len(p.text) {
			p.i++
		}
		out.WriteByte(p.text[p.i])
	}
	if p.i >= len(p.text) {
		what := "URL"
		if kind == "custom_emoji" {
			what = "custom emoji URL"
		}
		return "", markupError("Can't find end of a %s at byte offset %d", what, begin)
	}
	p.i++
	return out.String(), nil
}

// endQuote closes a block quotation; one that ends in || is expandable.
func (p *v2) endQuote() {
	if !p.quote {
		return
	}
	kind := "blockquote"
	if n := len(p.stack); n > 1 && p.stack[n-1].kind == "spoiler" && p.stack[n-1].begin == p.i-2 {
		p.stack = p.stack[:n-1]
		kind = "expandable_blockquote"
	}
	if p.top() != "blockquote" {
		return
	}
	o := p.stack[len(p.stack)-1]
	p.stack = p.stack[:len(p.stack)-1]
	p.quote = false
	if length := p.b.units - o.offset; length > 0 {
		p.entities = append(p.entities, Entity{Type: kind, Offset: o.offset, Length: length})
	}
}
