package email

import (
	"bytes"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/encoding/charmap"
)

// header is a mail's header block: names in lower case, values unfolded and as
// they came. It takes what real mails have: lines that are none are left out.
type header []field

type field struct{ name, value string }

func parseHeader(block []byte) header {
	var h header
	for line := range bytes.SplitSeq(wholeLines(block), []byte("\n")) {
		line = bytes.TrimSuffix(line, []byte("\r"))
		if len(line) == 0 && len(h) > 0 {
			break
		}
		if len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
			if len(h) > 0 {
				h[len(h)-1].value += " " + strings.Trim(validUTF8(string(line)), " \t")
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if name = bytes.TrimRight(name, " \t"); !ok || len(name) == 0 || bytes.ContainsAny(name, " \t") {
			continue
		}
		h = append(h, field{strings.ToLower(string(name)), strings.Trim(validUTF8(string(value)), " \t")})
	}
	return h
}

// get is the first field of a name, as it came.
func (h header) get(name string) string {
	for _, f := range h {
		if f.name == name {
			return f.value
		}
	}
	return ""
}

func (h header) has(name string) bool {
	for _, f := range h {
		if f.name == name {
			return true
		}
	}
	return false
}

// values are all fields of these names, in their order.
func (h header) values(names ...string) []string {
	var out []string
	for _, f := range h {
		for _, name := range names {
			if f.name == name {
				out = append(out, f.value)
			}
		}
	}
	return out
}

// words decodes RFC 2047; a charset that nobody knows is read as Windows-1252,
// rather than losing the name of a customer.
var words = &mime.WordDecoder{CharsetReader: func(name string, r io.Reader) (io.Reader, error) {
	raw, err := io.ReadAll(r)
	return strings.NewReader(toUTF8(raw, name)), err
}}

func decodeWords(s string) string {
	decoded, err := words.DecodeHeader(s)
	if err != nil {
		return s
	}
	return validUTF8(decoded)
}

// text is a field for people, decoded.
func (h header) text(name string) string { return strings.TrimSpace(decodeWords(h.get(name))) }

// validUTF8 takes bytes that are not UTF-8 for Windows-1252, which is what mail
// without a charset is, if it is not ASCII.
func validUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	decoded, err := charmap.Windows1252.NewDecoder().String(s)
	if err != nil {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return decoded
}

// address is one of a mail, with its canonical form.
type address struct{ name, addr string }

var addresses = mail.AddressParser{WordDecoder: words}

// bareAddress finds addresses in what is no list of RFC 5322.
var bareAddress = regexp.MustCompile(`[^\s<>"(),:;@]+@[^\s<>"(),:;@]+`)

// addresses of the fields of a name. Lists that do not parse are searched for
// what looks like an address.
func (h header) addresses(names ...string) []address {
	var out []address
	for _, value := range h.values(names...) {
		list, err := addresses.ParseList(value)
		for _, a := range list {
			out = append(out, address{name: validUTF8(a.Name), addr: canonical(a.Address)})
		}
		if err == nil {
			continue
		}
		for _, found := range bareAddress.FindAllString(value, maxAddresses) {
			name, _, _ := strings.Cut(value, "<")
			out = append(out, address{name: strings.Trim(decodeWords(strings.TrimSpace(name)), `"' `), addr: canonical(found)})
		}
	}
	if len(out) > maxAddresses {
		out = out[:maxAddresses]
	}
	return out
}

// maxAddresses bounds what is looked at of a field.
const maxAddresses = 200

// canonical is the form by which an address is one contact: in lower case, as
// no mailbox in use tells Ana from ana, with the domain as DNS has it.
func canonical(addr string) string {
	local, domain, ok := cutLast(strings.ToLower(strings.TrimSpace(addr)), "@")
	if !ok {
		return ""
	}
	if ascii, err := idna.Lookup.ToASCII(domain); err == nil {
		domain = ascii
	}
	return local + "@" + strings.TrimSuffix(domain, ".")
}

func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i <= 0 || i+len(separator) >= len(s) {
		return "", "", false
	}
	return s[:i], s[i+len(separator):], true
}

func localPart(addr string) string {
	local, _, _ := cutLast(addr, "@")
	return local
}

func domainOf(addr string) string {
	_, domain, _ := cutLast(addr, "@")
	return domain
}

// fileName is a part's name, of its disposition or else of its type, in any of
// the ways to write one: plain, RFC 2047 (which is not allowed there, and
// common), RFC 2231 with a charset or in pieces.
func (n *node) fileName() string {
	name := param(n.DispositionParams, "filename")
	if name == "" {
		name = param(n.Params, "name")
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return -1
		case r == '/' || r == '\\':
			return '_' // it is a name and no way
		}
		return r
	}, name)
	return strings.TrimSpace(name)
}

// param is a parameter's value (RFC 2231 sections 3 and 4).
func param(params map[string]string, name string) string {
	if value, ok := params[name+"*"]; ok {
		return decodeExtended(value)
	}
	whole, encoded := "", false
	for i := range maxPieces {
		key := name + "*" + itoa(i)
		if piece, ok := params[key+"*"]; ok {
			whole, encoded = whole+piece, true
			continue
		}
		piece, ok := params[key]
		if !ok {
			break
		}
		whole += strings.ReplaceAll(piece, "%", "%25") // this piece is not encoded
	}
	switch {
	case encoded:
		return decodeExtended(whole)
	case whole != "":
		return decodeWords(strings.ReplaceAll(whole, "%25", "%"))
	}
	return decodeWords(validUTF8(params[name]))
}

// maxPieces of a parameter: a name of 255 bytes, each as %XX, in lines of 78.
const maxPieces = 16

// decodeExtended reads charset'language'percent-encoded.
func decodeExtended(s string) string {
	parts := strings.SplitN(s, "'", 3)
	if len(parts) != 3 {
		return decodeWords(s)
	}
	var raw []byte
	for i := 0; i < len(parts[2]); i++ {
		if parts[2][i] == '%' && i+2 < len(parts[2]) {
			if b, ok := unhex(parts[2][i+1], parts[2][i+2]); ok {
				raw = append(raw, b)
				i += 2
				continue
			}
		}
		raw = append(raw, parts[2][i])
	}
	return toUTF8(raw, parts[0])
}

func unhex(a, b byte) (byte, bool) {
	high, low := strings.IndexByte(hexDigits, a|0x20), strings.IndexByte(hexDigits, b|0x20)
	if high < 0 || low < 0 {
		return 0, false
	}
	return byte(high<<4 | low), true
}

const hexDigits = "0123456789abcdef"
