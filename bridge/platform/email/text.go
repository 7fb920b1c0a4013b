package email

import (
	"bytes"
	"io"
	"strings"
	"unicode/utf8"

	htmlcharset "golang.org/x/net/html/charset"
)

// isText says that a part is a text to read and not a file to keep: a body, or
// what Apple's programs put between two pictures.
func (n *node) isText() bool {
	if n.Type != "text/plain" && n.Type != "text/html" || n.Disposition == "attachment" || param(n.DispositionParams, "filename") != "" {
		return false
	}
	leading := strings.Trim(n.Path, "1.") == "" // some name even the body
	return leading || param(n.Params, "name") == ""
}

// text is what was fetched of a part, decoded to UTF-8.
func (n *node) text() string {
	text, _ := n.decode()
	return text
}

// undecoded says that a text is in a charset that nobody here decodes: its bytes
// are kept as an attachment, for people who have a program for it.
func (n *node) undecoded() bool {
	_, ok := n.decode()
	return !ok
}

func (n *node) decode() (text string, ok bool) {
	// A part that was cut ends in the middle of what it is encoded in; what comes
	// before is good.
	raw, _ := io.ReadAll(decoded(bytes.NewReader(n.Content), n.Encoding))
	name := strings.ToLower(strings.Trim(param(n.Params, "charset"), `"' `))
	if n.Type == "text/html" && (name == "" || name == "us-ascii") {
		if utf8.Valid(raw) {
			return string(raw), true
		}
		_, name, _ = htmlcharset.DetermineEncoding(raw, "text/html")
	}
	return decodeCharset(raw, name)
}

// trimTorn drops the beginning of a rune at the end of a part that was cut.
func trimTorn(raw []byte) []byte {
	for i := 1; i < utf8.UTFMax && i <= len(raw); i++ {
		b := raw[len(raw)-i]
		if utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(raw[len(raw)-i:]) {
				return raw[:len(raw)-i]
			}
			break
		}
	}
	return raw
}

// bodyText is what a mail says: of alternatives the plain one, if it says
// anything, and all that stands one after the other.
func bodyText(body *node) string {
	var pieces []string
	budget := maxBody
	var collect func(n *node)
	collect = func(n *node) {
		switch {
		case n.Type == "multipart/alternative":
			if best := bestOf(n.Parts); best != nil {
				collect(best)
			}
		case len(n.Parts) > 0:
			for _, p := range n.Parts {
				collect(p)
			}
		case n.isText():
			text := cutText(n.plain(), budget)
			budget -= len(text)
			if text = normalise(text); text != "" {
				pieces = append(pieces, text)
			}
		}
	}
	if body != nil {
		collect(body)
	}
	return strings.Join(pieces, "\n\n")
}

// maxBody bounds a message's text, in bytes; the store keeps up to 1 MiB.
const maxBody = 512 << 10

// bestOf chooses among alternatives: plain text that is not blank, else the last
// one that has a text (RFC 2046 section 5.1.4: the best comes last).
func bestOf(parts []*node) *node {
	var best *node
	for _, p := range parts {
		if p.Type == "text/plain" && p.isText() && strings.TrimSpace(p.text()) != "" {
			return p
		}
		if p.isText() || len(p.Parts) > 0 {
			best = p
		}
	}
	return best
}

// plain is a text part as plain text.
func (n *node) plain() string {
	text := n.text()
	switch {
	case n.Type == "text/html":
		return htmlText(text)
	case strings.EqualFold(param(n.Params, "format"), "flowed"):
		return unflow(normaliseLines(text), strings.EqualFold(param(n.Params, "delsp"), "yes"))
	}
	return text
}

func normaliseLines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}

// normalise gives lines one kind of end and drops blank ones around the text.
func normalise(s string) string {
	s = strings.TrimRight(normaliseLines(s), " \t\n")
	for {
		line, rest, more := strings.Cut(s, "\n")
		if !more || strings.Trim(line, " \t") != "" {
			return s
		}
		s = rest
	}
}

// unflow joins the lines of format=flowed (RFC 3676): one that ends with a space
// goes on in the next one of the same depth of quotation, except the signature's.
func unflow(s string, delSp bool) string {
	var out strings.Builder
	open, openDepth := false, 0 // the line before goes on
	for i, line := range strings.Split(s, "\n") {
		depth := len(line) - len(strings.TrimLeft(line, ">"))
		text := strings.TrimPrefix(line[depth:], " ") // stuffed
		if open && depth == openDepth && text != "-- " {
			out.WriteString(text)
		} else {
			if i > 0 {
				out.WriteByte('\n')
			}
			if depth > 0 {
				out.WriteString(strings.Repeat(">", depth) + " ")
			}
			out.WriteString(text)
		}
		open, openDepth = strings.HasSuffix(text, " ") && text != "-- ", depth
		if open && delSp {
			kept := strings.TrimSuffix(out.String(), " ")
			out.Reset()
			out.WriteString(kept)
		}
	}
	return out.String()
}

// cutText cuts a text to so many bytes, between runes.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
