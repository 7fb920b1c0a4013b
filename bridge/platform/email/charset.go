package email

import (
	"bytes"
	"io"
	"strings"

	"github.com/emersion/go-message/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
)

// moreCharsets are those that are decoded here and that the registries by which
// go-message looks names up have no decoder for, or not under this name.
var moreCharsets = map[string]encoding.Encoding{
	"hz-gb-2312": simplifiedchinese.HZGB2312,
	"utf-16":     unicode.UTF16(unicode.BigEndian, unicode.UseBOM), // RFC 2781 section 4.3
	"utf-32":     utf32.UTF32(utf32.BigEndian, utf32.UseBOM), "utf-32be": utf32.UTF32(utf32.BigEndian, utf32.IgnoreBOM), "utf-32le": utf32.UTF32(utf32.LittleEndian, utf32.IgnoreBOM),
	"cp437": charmap.CodePage437, "ibm437": charmap.CodePage437, "cp850": charmap.CodePage850, "ibm850": charmap.CodePage850, "cp852": charmap.CodePage852,
	"cp855": charmap.CodePage855, "cp858": charmap.CodePage858, "ibm00858": charmap.CodePage858, "cp860": charmap.CodePage860, "cp862": charmap.CodePage862,
	"cp863": charmap.CodePage863, "cp865": charmap.CodePage865, "cp866": charmap.CodePage866,
}

// toUTF8 decodes a charset. What calls itself ASCII or UTF-8 and is neither, and
// what has a name that nobody knows, is taken for Windows-1252.
func toUTF8(raw []byte, name string) string {
	text, _ := decodeCharset(raw, name)
	return text
}

// decodeCharset is toUTF8, and whether it could: false is for what is in a
// charset that nobody here decodes, whose text is only as good as ASCII is in it.
func decodeCharset(raw []byte, name string) (text string, ok bool) {
	name = strings.ToLower(name)
	switch name {
	case "", "us-ascii", "ascii", "utf-8", "utf8", "unknown-8bit", "x-unknown", "binary":
		return validUTF8(string(trimTorn(raw))), true
	case "utf-7", "unicode-1-1-utf-7":
		return utf7(string(raw)), true
	case "iso-8859-1", "latin1": // what says so is Windows-1252, as browsers know
		name = "windows-1252"
	case "iso-2022-kr", "csiso2022kr":
		raw, name = unshift(raw, "\x1b$)C"), "euc-kr"
	case "iso-2022-cn", "iso-2022-cn-ext":
		// RFC 1922: GB 2312 is decoded; of CNS 11643 and the others nobody has a
		// decoder.
		if plain := unshift(raw, "\x1b$)A"); !bytes.ContainsRune(plain, '\x1b') {
			raw, name = plain, "gb2312"
		}
	}
	decoded, ok := decodeBy(raw, name)
	if !ok {
		return validUTF8(string(raw)), sevenBit(raw)
	}
	return decoded, true
}

func decodeBy(raw []byte, name string) (string, bool) {
	if e := moreCharsets[name]; e != nil {
		decoded, err := e.NewDecoder().Bytes(raw)
		return strings.ToValidUTF8(string(decoded), "\uFFFD"), err == nil || len(decoded) > 0
	}
	r, err := charset.Reader(name, bytes.NewReader(raw))
	if err != nil {
		return "", false
	}
	decoded, err := io.ReadAll(r)
	// The encoding that HTML calls "replacement" makes one mark of everything: it
	// stands for charsets that browsers refuse.
	if err != nil && len(decoded) == 0 || string(decoded) == "\uFFFD" && len(raw) > 1 {
		return "", false
	}
	return strings.ToValidUTF8(string(decoded), "\uFFFD"), true
}

// sevenBit says that there is nothing that a charset could change: no byte of
// more than 7 bits, and no escape into another set.
func sevenBit(raw []byte) bool {
	return !bytes.ContainsFunc(raw, func(r rune) bool { return r >= 0x80 || r == 0x1b || r == 0x0e || r == 0x0f })
}

// unshift makes the 8 bits of EUC of a text of ISO 2022 in 7 (RFC 1557, RFC
// 1922): what stands between SO and SI is of the set that was designated.
func unshift(raw []byte, designator string) []byte {
	out := make([]byte, 0, len(raw))
	shifted := false
	for _, b := range bytes.ReplaceAll(raw, []byte(designator), nil) {
		switch {
		case b == 0x0e:
			shifted = true
		case b == 0x0f:
			shifted = false
		case shifted && b > ' ' && b < 0x7f:
			out = append(out, b|0x80)
		default:
			if b == '\n' { // each line begins in ASCII
				shifted = false
			}
			out = append(out, b)
		}
	}
	return out
}
