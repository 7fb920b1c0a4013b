package telegram

import (
	"fmt"
)

// pressed is a button that a customer pressed.
type pressed struct {
	chat    chatKey
	message int64
	at      int64 // Unix seconds
	answers []CallbackAnswer
}

// CallbackAnswer is what a bot answered to a pressed button.
type CallbackAnswer struct {
	Text      string `json:"text,omitempty"`
	ShowAlert bool   `json:"showAlert,omitempty"`
	URL       string `json:"url,omitempty"`
}

func answerCallbackQuery(c *call) (any, *apiError) {
	id := c.arg("callback_query_id")
	p := c.bot.callbacks[id]
	if p == nil || c.server.now()-p.at > int64(c.server.opt.CallbackTTL.Seconds()) {
		return nil, badRequest("%s", textQueryTooOld)
	}
	answer := CallbackAnswer{Text: c.arg("text"), ShowAlert: c.flag("show_alert"), URL: c.arg("url")}
	if utf16Len(answer.Text) > 200 {
		return nil, badRequest("MESSAGE_TOO_LONG")
	}
	if answer.URL != "" {
		return nil, badRequest("URL_INVALID") // only games and t.me links of the bot are allowed
	}
	p.answers = append(p.answers, answer)
	c.bot.note(c.bot.chat(p.chat), Entry{From: "bot", Event: "answer", MessageID: p.message, Detail: answer.Text, CallbackID: id})
	return true, nil
}

// String helps to read failures of tests.
func (a CallbackAnswer) String() string { return fmt.Sprintf("%q alert=%v", a.Text, a.ShowAlert) }
