package email

import (
	"encoding/base64"
	"strings"
	"unicode/utf16"
)

// utf7 decodes UTF-7 (RFC 2152), which old Exchange servers still write:
// "+" begins UTF-16 in base64 without padding, "-" or anything else ends it,
// and "+-" is a plus. What is malformed stays as it is.
func utf7(s string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, "+")
		out.WriteString(before)
		if !found {
			return validUTF8(out.String())
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return !isBase64(r) })
		if end < 0 {
			end = len(rest)
		}
		run := rest[:end]
		s = strings.TrimPrefix(rest[end:], "-")
		if run == "" {
			out.WriteByte('+')
			continue
		}
		raw, err := base64.RawStdEncoding.DecodeString(run)
		if err != nil && len(raw) < 2 {
			out.WriteString("+" + run)
			continue
		}
		units := make([]uint16, len(raw)/2)
		for i := range units {
			units[i] = uint16(raw[2*i])<<8 | uint16(raw[2*i+1])
		}
		out.WriteString(string(utf16.Decode(units)))
	}
}

func isBase64(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/'
}
