package plainjson

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// thing is a value with one field of each kind that a Reader knows.
type thing struct {
	Text  string      `json:"text"`
	Word  string      `json:"word"`
	Whole json.Number `json:"whole"`
	Truth bool        `json:"truth"`
	Time  time.Time   `json:"time"`
	Bytes []byte      `json:"bytes"`
	List  []thing     `json:"list"`
}

var thingNames = []string{"text", "word", "whole", "truth", "time", "bytes", "list"}

func readThing(r *Reader) (t thing) {
	r.Object(thingNames, func(name int) {
		switch thingNames[name] {
		case "text":
			t.Text = r.Text()
		case "word":
			t.Word = r.Word()
		case "whole":
			t.Whole = json.Number(r.Whole())
		case "truth":
			t.Truth = r.Truth()
		case "time":
			t.Time = r.Time()
		case "bytes":
			t.Bytes = r.Bytes()
		case "list":
			t.List = []thing{}
			r.Array(func() { t.List = append(t.List, readThing(r)) })
		}
	})
	return t
}

var read = []string{
	`{}`, ` { "text" : "a" , "list" : [ ] } `, `{"text":"Müller 👍","word":"x"}`, `{"text":"a\"b\\c\n\u00e9\ud83d\udc4d\ud83d"}`,
	`{"whole":0}`, `{"whole":-12}`, `{"whole":18446744073709551615}`, `{"truth":true}`, `{"truth":false}`,
	`{"time":"2026-11-22T10:00:00.123Z"}`, `{"time":"2026-11-22T10:00:00+02:00"}`, `{"bytes":"aGVsbG8="}`, `{"bytes":""}`,
	`{"list":[{"word":"a"},{"word":"a","list":[{}]}]}`,
}

var givenUp = []string{
	``, `{`, `{}}`, `{} x`, `[]`, `null`, `{"text":null}`, `{"text":1}`, `{"other":1}`, `{"Text":"a"}`, `{"text":"a","text":"b"}`, `{"te\u0078t":"a"}`,
	`{"text":"a",}`, `{"text" "a"}`, `{"text":"a" "word":"b"}`, `{"text":"` + "\n" + `"}`, `{"text":"` + "\xff" + `"}`, `{"text":"\x"}`, `{"text":"a`, `{"text":"a\`,
	`{"word":"\u0061"}`, `{"whole":01}`, `{"whole":1.5}`, `{"whole":1e3}`, `{"whole":-}`, `{"whole":123456789012345678901}`, `{"whole":"1"}`,
	`{"truth":tru}`, `{"truth":1}`, `{"truth":trueish}`, `{"time":"yesterday"}`, `{"bytes":"*"}`, `{"list":[{},]}`, `{"list":[,]}`, `{"list":[{}`, `{"list":{}}`,
}

func TestWhatIsReadIsWhatEncodingJSONReads(t *testing.T) {
	for _, body := range read {
		r := New([]byte(body))
		got := readThing(r)
		require.True(t, r.Done(), body)
		var want thing
		require.NoError(t, json.Unmarshal([]byte(body), &want), body)
		assert.Equal(t, want, got, body)
	}
}

func TestWhateverElseIsGivenUp(t *testing.T) {
	for _, body := range givenUp {
		r := New([]byte(body))
		readThing(r)
		assert.False(t, r.Done(), body)
	}
	r := New([]byte(`{}`))
	readThing(r)
	r.GiveUp()
	assert.False(t, r.Done())
}

// A word that comes again is the same string.
func TestAWordIsKeptOnce(t *testing.T) {
	r := New([]byte(`["page","page"]`))
	var words []string
	assert.Zero(t, testing.AllocsPerRun(10, func() {
		if r.at = 0; words != nil {
			words = words[:0]
		}
		r.Array(func() { words = append(words, r.Word()) })
	}))
	assert.Equal(t, []string{"page", "page"}, words)
}

func FuzzReader(f *testing.F) {
	for _, body := range append(read, givenUp...) {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := New(body)
		got := readThing(r)
		if !r.Done() {
			return
		}
		var want thing
		require.NoError(t, json.Unmarshal(body, &want))
		require.Equal(t, want, got)
	})
}
