package email

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// htmlText is an HTML mail as plain text: blocks become lines, quotations get
// their "> ", links show where they lead, and nothing that is hidden shows.
func htmlText(s string) string {
	root, err := html.Parse(strings.NewReader(s))
	if err != nil {
		return s
	}
	w := &textWriter{}
	w.node(root, 0)
	return w.out.String()
}

// maxDepth of elements: mails that were answered for years nest some hundred
// deep; deeper ones are made to hurt.
const maxDepth = 1000

// textWriter lays text out in lines.
type textWriter struct {
	out    strings.Builder
	quotes int  // depth of blockquotes
	pre    int  // depth of pre
	breaks int  // line ends that are due before the next text
	space  bool // so is a space
	begun  bool // the line has something in it
}

// hidden elements have no text that is shown.
var hidden = map[atom.Atom]bool{
	atom.Head: true, atom.Title: true, atom.Style: true, atom.Script: true, atom.Template: true, atom.Noscript: true,
	atom.Svg: true, atom.Object: true, atom.Select: true, atom.Textarea: true,
}

// blocks are how many line ends stand around an element at least.
var blocks = map[atom.Atom]int{
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2, atom.Ul: 1, atom.Ol: 1, atom.Dl: 1, atom.Pre: 2,
	atom.Blockquote: 2, atom.Div: 1, atom.Section: 1, atom.Article: 1, atom.Header: 1, atom.Footer: 1, atom.Table: 1, atom.Tr: 1,
	atom.Li: 1, atom.Dt: 1, atom.Dd: 1, atom.Center: 1, atom.Address: 1, atom.Form: 1, atom.Figure: 1, atom.Hr: 1, atom.Caption: 1,
}

func (w *textWriter) node(n *html.Node, depth int) {
	switch {
	case depth > maxDepth:
		return
	case n.Type == html.TextNode:
		w.text(n.Data)
		return
	case n.Type == html.ElementNode && (hidden[n.DataAtom] || concealed(n)):
		return
	}
	lines := 0
	if n.Type == html.ElementNode {
		lines = blocks[n.DataAtom]
	}
	w.line(lines)
	w.open(n)
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		w.node(child, depth+1)
	}
	w.close(n)
	w.line(lines)
}

func (w *textWriter) open(n *html.Node) {
	if n.Type != html.ElementNode {
		return
	}
	switch n.DataAtom {
	case atom.Br:
		w.breaks++
		w.space, w.begun = false, false
	case atom.Li:
		w.word("- ")
	case atom.Td, atom.Th:
		w.space = w.space || w.begun
	case atom.Img:
		w.text(attribute(n, "alt"))
	case atom.Pre:
		w.pre++
	case atom.Blockquote:
		w.quotes++
	}
}

func (w *textWriter) close(n *html.Node) {
	if n.Type != html.ElementNode {
		return
	}
	switch n.DataAtom {
	case atom.A:
		w.link(n)
	case atom.Pre:
		w.pre--
	case atom.Blockquote:
		w.quotes--
	}
}

// link shows where a link leads, unless its text does. Very long ones are those
// that count clicks, and say nothing.
func (w *textWriter) link(n *html.Node) {
	href := strings.TrimSpace(attribute(n, "href"))
	if len(href) > maxLink || !strings.HasPrefix(href, "http://") && !strings.HasPrefix(href, "https://") {
		return
	}
	shown := strings.TrimSpace(textOf(n, 0))
	if shown == "" || strings.Contains(href, strings.TrimSuffix(shown, "/")) {
		return
	}
	w.text(" <" + href + ">")
}

const maxLink = 200

func textOf(n *html.Node, depth int) string {
	if n.Type == html.TextNode {
		return n.Data
	}
	var b strings.Builder
	for child := n.FirstChild; child != nil && depth < maxDepth; child = child.NextSibling {
		b.WriteString(textOf(child, depth+1))
	}
	return b.String()
}

// text writes with white space folded, as it is shown.
func (w *textWriter) text(s string) {
	if w.pre > 0 {
		for i, line := range strings.Split(normaliseLines(s), "\n") {
			if i > 0 {
				w.breaks++
				w.begun = false
			}
			if line != "" {
				w.word(line)
			}
		}
		return
	}
	const blank = " \t\r\n\f" // and no others: a no-break space is meant
	if strings.Trim(s, blank) == "" {
		w.space = w.space || s != "" && w.begun
		return
	}
	if strings.ContainsRune(blank, rune(s[0])) {
		w.space = w.space || w.begun
	}
	words := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(blank, r) })
	w.word(strings.ReplaceAll(strings.Join(words, " "), "\u00a0", " "))
	w.space = strings.ContainsRune(blank, rune(s[len(s)-1]))
}

// line asks for so many line ends before the next text.
func (w *textWriter) line(n int) {
	if n == 0 {
		return
	}
	w.breaks, w.space, w.begun = max(w.breaks, n), false, false
}

// word writes, after the line ends or the space that are due. An empty line
// more than one says nothing.
func (w *textWriter) word(s string) {
	prefix := strings.Repeat("> ", w.quotes)
	switch {
	case w.out.Len() == 0:
		w.out.WriteString(prefix)
	case w.breaks > 0:
		for i := range min(w.breaks, 2) {
			w.out.WriteByte('\n')
			if i == 0 && w.breaks > 1 {
				w.out.WriteString(strings.TrimRight(prefix, " "))
			}
		}
		w.out.WriteString(prefix)
	case w.space:
		w.out.WriteByte(' ')
	}
	w.breaks, w.space, w.begun = 0, false, true
	w.out.WriteString(s)
}

// concealed elements are there for programs: the preview lines of newsletters.
func concealed(n *html.Node) bool {
	style := strings.ToLower(strings.ReplaceAll(attribute(n, "style"), " ", ""))
	return strings.Contains(style, "display:none") || strings.Contains(style, "visibility:hidden") || strings.Contains(style, "mso-hide:all") || hasAttribute(n, "hidden")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttribute(n *html.Node, name string) bool {
	for _, a := range n.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
