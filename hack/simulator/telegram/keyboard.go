package telegram

import (
	"encoding/json"
	"net/url"
	"strings"
)

// maxMarkup is the largest reply markup in bytes. The real limit is not
// documented; keyboards of about 10 KB are refused.
const maxMarkup = 10 << 10

// maxCallbackData is the largest callback_data in bytes.
const maxCallbackData = 64

// markup is a parsed reply_markup: at most one of its fields is set.
type markup struct {
	inline *InlineKeyboard
	reply  *replyKeyboard
}

// replyKeyboard replaces the customer's keyboard; rows is empty when the bot
// removed it.
type replyKeyboard struct {
	rows    [][]string
	oneTime bool
}

// replyMarkup reads reply_markup.
func (c *call) replyMarkup() (markup, *apiError) {
	text := c.arg("reply_markup")
	if text == "" {
		return markup{}, nil
	}
	o, ok, err := parseObject(text)
	if err != nil {
		return markup{}, badRequest("Can't parse reply keyboard markup JSON object")
	}
	if !ok {
		return markup{}, badRequest("Object expected as reply markup")
	}
	rows, bad := keyboardRows(o)
	if bad != nil {
		return markup{}, bad
	}
	inline, bad := inlineRows(o)
	if bad != nil {
		return markup{}, bad
	}
	for _, name := range []string{"remove_keyboard", "selective", "force_reply", "resize_keyboard", "one_time_keyboard", "is_persistent"} {
		if _, bad := o.boolean(name); bad != nil {
			return markup{}, bad
		}
	}
	oneTime, _ := o.boolean("one_time_keyboard")
	remove, _ := o.boolean("remove_keyboard")
	switch {
	case len(rows) > 0:
		return markup{reply: &replyKeyboard{rows: rows, oneTime: oneTime}}, nil
	case len(inline) > 0:
		return markup{inline: &InlineKeyboard{InlineKeyboard: inline}}, nil
	case remove:
		return markup{reply: &replyKeyboard{}}, nil
	}
	return markup{}, nil
}

// keyboardRows reads the texts of a reply keyboard.
func keyboardRows(o object) ([][]string, *apiError) {
	list, bad := o.array("keyboard")
	if bad != nil {
		return nil, bad
	}
	var rows [][]string
	for _, rawRow := range list {
		buttons, ok, _ := parseArray(string(rawRow))
		if !ok {
			return nil, badRequest(`Field "keyboard" must be an Array of Arrays`)
		}
		var row []string
		for _, raw := range buttons {
			text, bad := keyboardButton(raw)
			if bad != nil {
				return nil, wrap("Can't parse keyboard button", bad)
			}
			if text != "" { // a button without text is left out
				row = append(row, text)
			}
		}
		if len(row) > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func keyboardButton(raw json.RawMessage) (string, *apiError) {
	if jsonKind(raw) == "String" {
		var text string
		_ = json.Unmarshal(raw, &text) // checked by parseArray
		return text, nil
	}
	o, ok, _ := parseObject(string(raw))
	if !ok {
		return "", badRequest("KeyboardButton must be a String or an Object")
	}
	for _, name := range []string{"request_contact", "request_location"} {
		if _, bad := o.boolean(name); bad != nil {
			return "", bad
		}
	}
	return o.text("text", true)
}

// inlineRows reads an inline keyboard.
func inlineRows(o object) ([][]Button, *apiError) {
	list, bad := o.array("inline_keyboard")
	if bad != nil {
		return nil, bad
	}
	var rows [][]Button
	for _, rawRow := range list {
		buttons, ok, _ := parseArray(string(rawRow))
		if !ok {
			return nil, badRequest(`Field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays`)
		}
		var row []Button
		for _, raw := range buttons {
			b, bad := inlineButton(raw)
			if bad != nil {
				return nil, wrap("Can't parse inline keyboard button", bad)
			}
			if b.Text != "" {
				row = append(row, b)
			}
		}
		if len(row) > 0 {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// buttonKinds are the fields of which an inline button has one.
var buttonKinds = []string{
	"callback_game", "pay", "switch_inline_query", "switch_inline_query_chosen_chat", "switch_inline_query_current_chat",
	"login_url", "web_app", "copy_text",
}

func inlineButton(raw json.RawMessage) (Button, *apiError) {
	o, ok, _ := parseObject(string(raw))
	if !ok {
		return Button{}, badRequest("InlineKeyboardButton must be an Object")
	}
	b := Button{Raw: raw}
	var bad *apiError
	for _, f := range []struct {
		name     string
		required bool
		to       *string
	}{{"text", true, &b.Text}, {"url", false, &b.URL}, {"callback_data", false, &b.CallbackData}} {
		if *f.to, bad = o.text(f.name, f.required); bad != nil {
			return b, bad
		}
	}
	if b.URL != "" || b.CallbackData != "" {
		return b, nil
	}
	for _, kind := range buttonKinds {
		if o.has(kind) {
			return b, nil
		}
	}
	return b, badRequest("Text buttons are unallowed in the inline keyboard")
}

// check refuses what Telegram's servers refuse of a well-formed keyboard.
func (k *InlineKeyboard) check() *apiError {
	if k == nil {
		return nil
	}
	size := 0
	for _, row := range k.InlineKeyboard {
		for _, b := range row {
			size += len(b.Raw)
			if len(b.CallbackData) > maxCallbackData {
				return badRequest("BUTTON_DATA_INVALID")
			}
			if reason := badURL(b.URL); reason != "" {
				return badRequest("Inline keyboard button URL '%s' is invalid: %s", b.URL, reason)
			}
		}
	}
	if size > maxMarkup {
		return badRequest("reply markup is too long")
	}
	return nil
}

// badURL says what is wrong with the URL of a button; "" if nothing.
func badURL(text string) string {
	if text == "" {
		return ""
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "Wrong HTTP URL"
	case u.Scheme == "tg" || u.Scheme == "ton":
		return ""
	case u.Scheme != "http" && u.Scheme != "https":
		return "Unsupported URL protocol"
	case u.Hostname() == "":
		return "URL host is empty"
	case !strings.Contains(u.Hostname(), "."):
		return "Wrong HTTP URL" // also localhost: buttons open on the customer's device
	}
	return ""
}

// equal says whether two keyboards are the same for "message is not modified".
func (k *InlineKeyboard) equal(o *InlineKeyboard) bool {
	a, _ := json.Marshal(k)
	b, _ := json.Marshal(o)
	return string(a) == string(b)
}
