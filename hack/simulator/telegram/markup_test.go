package telegram

import (
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestMarkup(t *testing.T) {
	for _, tt := range []struct {
		mode, in, text string
		entities       []Entity
	}{
		{"MarkdownV2", `*b* _i_ __u__ ~s~ ||x||`, "b i u s x", []Entity{
			{Type: "bold", Offset: 0, Length: 1}, {Type: "italic", Offset: 2, Length: 1}, {Type: "underline", Offset: 4, Length: 1},
			{Type: "strikethrough", Offset: 6, Length: 1}, {Type: "spoiler", Offset: 8, Length: 1}}},
		{"MarkdownV2", `*b _i_* 1\. \*`, "b i 1. *", []Entity{{Type: "bold", Offset: 0, Length: 3}, {Type: "italic", Offset: 2, Length: 1}}},
		{"MarkdownV2", "```go\nx := 1\n```", "x := 1", []Entity{{Type: "pre", Offset: 0, Length: 6, Language: "go"}}},
		{"MarkdownV2", "`a.b`", "a.b", []Entity{{Type: "code", Offset: 0, Length: 3}}},
		{"MarkdownV2", `[a](https://e.com/\)x)`, "a", []Entity{{Type: "text_link", Offset: 0, Length: 1, URL: "https://e.com/)x"}}},
		{"MarkdownV2", ">a\n>b\nc", "a\nb\nc", []Entity{{Type: "blockquote", Offset: 0, Length: 3}}},
		{"MarkdownV2", "😀*b*", "😀b", []Entity{{Type: "bold", Offset: 2, Length: 1}}},
		{"Markdown", "*b* _i_ `c` \\*", "b i c *", []Entity{
			{Type: "bold", Offset: 0, Length: 1}, {Type: "italic", Offset: 2, Length: 1}, {Type: "code", Offset: 4, Length: 1}}},
		{"Markdown", "[a](http://e.com) 1.", "a 1.", []Entity{{Type: "text_link", Offset: 0, Length: 1, URL: "http://e.com"}}},
		{"HTML", `<b>b<i>i</i></b> &lt;&amp;&#33; &nbsp;`, "bi <&! &nbsp;", []Entity{{Type: "bold", Offset: 0, Length: 2}, {Type: "italic", Offset: 1, Length: 1}}},
		{"HTML", `<pre><code class="language-go">x</code></pre>`, "x", []Entity{{Type: "pre", Offset: 0, Length: 1, Language: "go"}}},
		{"HTML", `<a href="https://e.com?a=1&amp;b=2">l</a>`, "l", []Entity{{Type: "text_link", Offset: 0, Length: 1, URL: "https://e.com?a=1&b=2"}}},
		{"HTML", `<a href="tg://user?id=7">u</a>`, "u", []Entity{{Type: "text_mention", Offset: 0, Length: 1, User: &User{ID: 7}}}},
		{"HTML", `<blockquote expandable>q</blockquote>`, "q", []Entity{{Type: "expandable_blockquote", Offset: 0, Length: 1}}},
		{"HTML", `<span class="tg-spoiler">s</span>`, "s", []Entity{{Type: "spoiler", Offset: 0, Length: 1}}},
		{"", "  hi /help me@e.com #tag @ann_b https://e.com/x.  ", "hi /help me@e.com #tag @ann_b https://e.com/x.", []Entity{
			{Type: "bot_command", Offset: 3, Length: 5}, {Type: "email", Offset: 9, Length: 8}, {Type: "hashtag", Offset: 18, Length: 4},
			{Type: "mention", Offset: 23, Length: 6}, {Type: "url", Offset: 30, Length: 15}}},
	} {
		text, entities, err := formatted(tt.in, tt.mode, "")
		if assert.Nil(t, err, "%s", tt.in) {
			assert.Equal(t, tt.text, text, tt.in)
			assert.Equal(t, tt.entities, entities, tt.in)
		}
	}
}

func TestMarkupErrors(t *testing.T) {
	for _, tt := range []struct{ mode, in, want string }{
		{"MarkdownV2", "a-b", `Character '-' is reserved and must be escaped with the preceding '\'`},
		{"MarkdownV2", "a!", `Character '!' is reserved and must be escaped with the preceding '\'`},
		{"MarkdownV2", "a|b", `Character '|' is reserved and must be escaped with the preceding '\'`},
		{"MarkdownV2", "a > b", `Character '>' is reserved and must be escaped with the preceding '\'`},
		{"MarkdownV2", "_a", "Can't find end of Italic entity at byte offset 0"},
		{"MarkdownV2", "```a", "Can't find end of Pre entity at byte offset 0"},
		{"MarkdownV2", "[a](b.c", "Can't find end of a URL at byte offset 4"},
		{"HTML", "<b", "Unclosed start tag at byte offset 0"},
		{"HTML", "a</b>", "Unexpected end tag at byte offset 1"},
		{"HTML", "<b>a</b", "Unclosed end tag at byte offset 4"},
		{"HTML", "<span>a</span>", `Tag "span" must have class "tg-spoiler" at byte offset 0`},
	} {
		_, _, err := formatted(tt.in, tt.mode, "")
		if assert.NotNil(t, err, tt.in) {
			assert.Equal(t, "Bad Request: can't parse entities: "+tt.want, err.Description)
		}
	}
}

// FuzzMarkup: no text of a bot may crash the simulator, and entities always
// lie inside the text.
func FuzzMarkup(f *testing.F) {
	for _, s := range []string{"*b*", ">a\n>b||\nc", "<a href=x>b</a>", "```go\n", "[a](", "![😀](tg://emoji?id=1)", "<b><", "&#", "\\", "||", "<a href= >", "<code class=language-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if !utf8.ValidString(in) {
			return // the server refuses such a request before it looks at a text
		}
		for _, mode := range []string{"", "Markdown", "MarkdownV2", "HTML"} {
			text, entities, err := formatted(in, mode, "")
			if err != nil {
				continue
			}
			n := utf16Len(text)
			for _, e := range entities {
				if e.Offset < 0 || e.Length <= 0 || e.Offset+e.Length > n {
					t.Fatalf("%s %q: %+v outside of %q", mode, in, e, text)
				}
			}
		}
	})
}
