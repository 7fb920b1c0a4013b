// Package plainjson takes JSON apart whose shape is known and which is written as
// nearly all is: a third of the price of encoding/json, which looks up by reflection
// what each value is, and reads everything twice.
//
//	body ──► Reader ──► what was expected         true
//	              └───► anything else at all      false ──► encoding/json
//
// It is never the judge of what is allowed. Whatever it is not told of (a field, a
// field that comes twice, null, a number that is no whole one, text that is not
// UTF-8) makes it give up, and the caller reads the same bytes by encoding/json, so
// that there is one opinion of what a request means.
package plainjson

import (
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"
)

// Reader reads one JSON value. The zero Reader reads nothing; make one with New. It
// is for one goroutine.
type Reader struct {
	data  []byte
	at    int
	gone  bool // it has given up
	words map[string]string
}

// New makes a reader of data, which must stay as it is while it is read.
func New(data []byte) *Reader { return &Reader{data: data} }

// GiveUp makes Done return false.
func (r *Reader) GiveUp() { r.gone = true }

// Done says that everything was read and was as expected. Only then is anything
// that was read worth something.
func (r *Reader) Done() bool { return !r.gone && r.space() == 0 && r.at == len(r.data) }

// space passes over white space and returns the byte behind it, 0 at the end.
func (r *Reader) space() byte {
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// take passes over the byte that must come next.
func (r *Reader) take(want byte) {
	if r.gone || r.space() != want {
		r.gone = true
		return
	}
	r.at++
}

// Object reads an object: field is called for each name and must read its value.
// names are all that there may be, 64 at most, each at most once; field is told the
// place of the name among them.
func (r *Reader) Object(names []string, field func(name int)) {
	r.take('{')
	if !r.gone && r.space() == '}' {
		r.at++
		return
	}
	for seen := uint64(0); !r.gone; {
		i := r.name(names)
		if i < 0 || seen&(1<<i) != 0 {
			r.gone = true
			return
		}
		seen |= 1 << i
		r.take(':')
		field(i)
		if !r.more('}') {
			return
		}
	}
}

// name reads a name and returns its place, -1 when it is none of these.
func (r *Reader) name(names []string) int {
	got := r.plain()
	for i, name := range names {
		if string(got) == name {
			return i
		}
	}
	return -1
}

// Array reads an array: element is called for each element and must read it.
func (r *Reader) Array(element func()) {
	r.take('[')
	if !r.gone && r.space() == ']' {
		r.at++
		return
	}
	for !r.gone {
		element()
		if !r.more(']') {
			return
		}
	}
}

// more says whether a comma follows, and not the end.
func (r *Reader) more(end byte) bool {
	if r.gone {
		return false
	}
	switch r.space() {
	case ',':
		r.at++
		return true
	case end:
		r.at++
	default:
		r.gone = true
	}
	return false
}

// plain reads a text without escapes, as it stands in the data.
func (r *Reader) plain() []byte {
	raw, escaped := r.quoted()
	if escaped {
		r.gone = true
	}
	return raw
}

// quoted reads a text, and says whether it has escapes.
func (r *Reader) quoted() (raw []byte, escaped bool) {
	r.take('"')
	if r.gone {
		return nil, false
	}
	ascii := true
	for i := r.at; i < len(r.data); i++ {
		switch c := r.data[i]; {
		case c == '"':
			raw = r.data[r.at:i]
			r.at = i + 1
			r.gone = !ascii && !utf8.Valid(raw)
			return raw, escaped
		case c == '\\':
			escaped = true
			i++ // whatever follows is part of the escape
		case c < ' ':
			r.gone = true
			return nil, false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	r.gone = true
	return nil, false
}

// Text reads a text.
func (r *Reader) Text() string {
	raw, escaped := r.quoted()
	switch {
	case r.gone:
		return ""
	case !escaped:
		return string(raw)
	}
	var s string
	if json.Unmarshal(r.data[r.at-len(raw)-2:r.at], &s) != nil {
		r.gone = true
	}
	return s
}

// Word reads a text of which there are few in one value: the same one is the same
// string.
func (r *Reader) Word() string {
	raw := r.plain()
	if r.gone {
		return ""
	}
	if word, ok := r.words[string(raw)]; ok {
		return word
	}
	if r.words == nil {
		r.words = map[string]string{}
	}
	word := string(raw)
	if len(r.words) < maxWords {
		r.words[word] = word
	}
	return word
}

// maxWords bounds what a Reader remembers, where a word is none after all.
const maxWords = 64

// maxDigits is how long a whole number may be: ids are below 2^64.
const maxDigits = 20

// Whole reads a whole number as it is written.
func (r *Reader) Whole() string {
	c := r.space()
	from := r.at
	if c == '-' {
		r.at++
	}
	digits := r.at
	for r.at < len(r.data) && r.data[r.at] >= '0' && r.data[r.at] <= '9' {
		r.at++
	}
	n := r.at - digits
	if n == 0 || n > maxDigits || n > 1 && r.data[digits] == '0' {
		r.gone = true
	}
	if r.at < len(r.data) {
		switch r.data[r.at] {
		case '.', 'e', 'E': // 12.5, 1e3
			r.gone = true
		}
	}
	if r.gone {
		return ""
	}
	return string(r.data[from:r.at])
}

// Next is the byte that the next value begins with, 0 at the end: '"' for a text, a
// digit or '-' for a number, 't' or 'f' for a truth value.
func (r *Reader) Next() byte { return r.space() }

// Truth reads true or false.
func (r *Reader) Truth() bool {
	for _, word := range []string{"true", "false"} {
		if r.space(); len(r.data)-r.at >= len(word) && string(r.data[r.at:r.at+len(word)]) == word {
			r.at += len(word)
			return word == "true"
		}
	}
	r.gone = true
	return false
}

// Time reads a time as time.Time is written.
func (r *Reader) Time() (t time.Time) {
	raw := r.plain()
	if r.gone || t.UnmarshalText(raw) != nil {
		r.gone = true
	}
	return t
}

// Bytes reads bytes in base64, as []byte is written.
func (r *Reader) Bytes() []byte {
	raw := r.plain()
	if r.gone {
		return nil
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Decode(out, raw)
	if err != nil {
		r.gone = true
	}
	return out[:n]
}
