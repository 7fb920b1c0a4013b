package rest

import (
	"encoding/csv"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// responseList writes responses as CSV. Columns are the same for all responses
// of a campaign; a question has its answers in a column of its own.
type responseList struct {
	w         *csv.Writer
	personal  bool
	questions []string // follow-ups, in their order
	cells     []string
}

// newResponseList takes the questions from the report. One that a later version
// of the campaign no longer has keeps no column; one without answers yet has one.
func newResponseList(w io.Writer, r survey.Report, personal bool) *responseList {
	l := &responseList{w: csv.NewWriter(w), personal: personal}
	l.w.UseCRLF = true // RFC 4180
	for i, q := range r.Questions {
		if i > 0 { // the first is the score
			l.questions = append(l.questions, q.ID)
		}
	}
	return l
}

func (l *responseList) header() error {
	names := []string{"response", "asked", "answered", "score", "late", "completed", "arm", "channel", "language"}
	if l.personal {
		names = append(names, "contact", "conversation", "comment")
		for _, q := range l.questions {
			names = append(names, "answer:"+q)
		}
	} else {
		names = names[2:] // ids and the time of asking find the person in the conversations
		names[0] = "answeredOn"
	}
	return l.w.Write(names)
}

func (l *responseList) line(r store.SurveyResponse) error {
	l.cells = l.cells[:0]
	if l.personal {
		l.cells = append(l.cells, plain(r.ID), moment(r.AskedAt, time.RFC3339), moment(r.AnsweredAt, time.RFC3339))
	} else {
		l.cells = append(l.cells, moment(r.AnsweredAt, time.DateOnly))
	}
	l.cells = append(l.cells, strconv.Itoa(r.Score), strconv.FormatBool(r.Late), strconv.FormatBool(r.Completed), plain(r.Arm), plain(r.Channel), plain(r.Language))
	if l.personal {
		l.cells = append(l.cells, plain(r.Contact), plain(r.Conversation), plain(r.Comment))
		for _, q := range l.questions {
			l.cells = append(l.cells, plain(answerTo(r.Answers, q)))
		}
	}
	return l.w.Write(l.cells)
}

func (l *responseList) end() error {
	l.w.Flush()
	return l.w.Error()
}

func moment(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

func answerTo(answers []survey.Answer, question string) string {
	for _, a := range answers {
		if a.Question == question {
			return a.Text
		}
	}
	return ""
}

// plain is a text that no spreadsheet takes for a formula: what customers write
// is opened by people who trust their own files. An apostrophe before the first
// of the characters that begin one is what spreadsheets show as text (OWASP, "CSV
// injection"; the full-width forms are read as the others in East Asian editions).
// What is blank before it does not hide it.
func plain(text string) string {
	begins := strings.TrimLeft(text, " \u00a0\u3000\ufeff\n\v\f")
	if first, size := utf8.DecodeRuneInString(begins); size > 0 && strings.ContainsRune("=+-@\t\r＝＋－＠", first) {
		return "'" + text
	}
	return text
}
