package plainjson

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// AppendText appends a text as JSON.
func AppendText(to []byte, s string) []byte {
	if !asItIs(s) {
		quoted, err := json.Marshal(s)
		if err != nil { // texts always can
			panic(err)
		}
		return append(to, quoted...)
	}
	return append(append(append(to, '"'), s...), '"')
}

// asItIs says that a text needs no escapes.
func asItIs(s string) bool {
	ascii := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\\':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return ascii || utf8.ValidString(s)
}

// AppendField appends a field with its comma, where s is not empty.
func AppendField(to []byte, name, s string) []byte {
	if s == "" {
		return to
	}
	return AppendText(append(append(append(to, ',', '"'), name...), '"', ':'), s)
}

// AppendBytes appends bytes as JSON has them, in base64.
func AppendBytes(to, b []byte) []byte {
	return append(base64.StdEncoding.AppendEncode(append(to, '"'), b), '"')
}
