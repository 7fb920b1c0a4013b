package telegram_test

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// rejection is one refused call.
type rejection struct {
	name   string
	method string
	params []string
	code   int
	text   string
}

// rejections is the contract of the simulator: what is refused, and in which
// words. {names} stand for ids of rejectionFixtures.
func rejections() []rejection {
	long := strings.Repeat("x", 4097)
	emoji := strings.Repeat("😀", 2049) // 4098 UTF-16 units, 2049 characters
	button := func(data string) string {
		return fmt.Sprintf(`{"inline_keyboard":[[{"text":"a","callback_data":"%s"}]]}`, data)
	}
	const bad = "Bad Request: "
	return []rejection{
		{"unknown method", "sendNothing", nil, 404, "Not Found"},
		{"not played", "sendPoll", nil, 501, "Not Implemented: the simulator does not play sendPoll"},
		{"no text", "sendMessage", []string{"chat_id", "77"}, 400, bad + "message text is empty"},
		{"no chat", "sendMessage", []string{"text", "a"}, 400, bad + "chat_id is empty"},
		{"spaces", "sendMessage", []string{"chat_id", "77", "text", " \n "}, 400, bad + "text must be non-empty"},
		{"too long", "sendMessage", []string{"chat_id", "77", "text", long}, 400, bad + "message is too long"},
		{"too long in UTF-16", "sendMessage", []string{"chat_id", "77", "text", emoji}, 400, bad + "message is too long"},
		{"far too long", "sendMessage", []string{"chat_id", "77", "text", strings.Repeat("x", 1<<15+1)}, 400, bad + "text is too long"},
		{"not UTF-8", "sendMessage", []string{"chat_id", "77", "text", "a\xff"}, 400, bad + "strings must be encoded in UTF-8"},
		{"unknown chat", "sendMessage", []string{"chat_id", "1", "text", "a"}, 400, bad + "chat not found"},
		{"unknown name", "sendMessage", []string{"chat_id", "@nobody", "text", "a"}, 400, bad + "chat not found"},
		{"unknown chat before length", "sendMessage", []string{"chat_id", "1", "text", long}, 400, bad + "chat not found"},
		{"never started", "sendMessage", []string{"chat_id", "78", "text", "a"}, 403, "Forbidden: bot can't initiate conversation with a user"},
		{"blocked", "sendMessage", []string{"chat_id", "79", "text", "a"}, 403, "Forbidden: bot was blocked by the user"},
		{"deactivated", "sendMessage", []string{"chat_id", "80", "text", "a"}, 403, "Forbidden: user is deactivated"},
		{"kicked", "sendMessage", []string{"chat_id", "-500", "text", "a"}, 403, "Forbidden: bot was kicked from the group chat"},
		{"stranger's group", "sendMessage", []string{"chat_id", "-501", "text", "a"}, 400, bad + "chat not found"},
		{"parse mode", "sendMessage", []string{"chat_id", "77", "text", "a", "parse_mode", "rtf"}, 400, bad + "unsupported parse_mode"},
		{"MarkdownV2 reserved", "sendMessage", []string{"chat_id", "77", "text", "1. a", "parse_mode", "MarkdownV2"}, 400,
			bad + `can't parse entities: Character '.' is reserved and must be escaped with the preceding '\'`},
		{"MarkdownV2 open", "sendMessage", []string{"chat_id", "77", "text", "a *b", "parse_mode", "MarkdownV2"}, 400,
			bad + "can't parse entities: Can't find end of Bold entity at byte offset 2"},
		{"Markdown open", "sendMessage", []string{"chat_id", "77", "text", "a _b", "parse_mode", "Markdown"}, 400,
			bad + "can't parse entities: Can't find end of the entity starting at byte offset 2"},
		{"HTML tag", "sendMessage", []string{"chat_id", "77", "text", "<h1>a</h1>", "parse_mode", "HTML"}, 400,
			bad + `can't parse entities: Unsupported start tag "h1" at byte offset 0`},
		{"HTML open", "sendMessage", []string{"chat_id", "77", "text", "<b>a", "parse_mode", "HTML"}, 400,
			bad + `can't parse entities: Can't find end tag corresponding to start tag "b"`},
		{"HTML crossed", "sendMessage", []string{"chat_id", "77", "text", "<b><i>a</b></i>", "parse_mode", "HTML"}, 400,
			bad + `can't parse entities: Unmatched end tag at byte offset 7, expected "</i>", found "</b>"`},
		{"entity", "sendMessage", []string{"chat_id", "77", "text", "a", "entities", `[{"offset":0,"length":1}]`}, 400,
			bad + `can't parse MessageEntity: Can't find field "type"`},
		{"callback data", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", button(strings.Repeat("é", 33))}, 400,
			bad + "BUTTON_DATA_INVALID"},
		{"button without action", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", `{"inline_keyboard":[[{"text":"a"}]]}`}, 400,
			bad + "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"},
		{"button without text", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", `{"inline_keyboard":[[{"url":"a.b"}]]}`}, 400,
			bad + `can't parse inline keyboard button: Can't find field "text"`},
		{"flat keyboard", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", `{"inline_keyboard":[{"text":"a"}]}`}, 400,
			bad + `field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays`},
		{"button URL", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", `{"inline_keyboard":[[{"text":"a","url":"ftp://a.b"}]]}`}, 400,
			bad + "inline keyboard button URL 'ftp://a.b' is invalid: Unsupported URL protocol"},
		{"markup is no JSON", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", `{`}, 400,
			bad + "can't parse reply keyboard markup JSON object"},
		{"markup is no object", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_markup", `[]`}, 400,
			bad + "object expected as reply markup"},
		{"reply to nothing", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_parameters", `{"message_id":999}`}, 400,
			bad + "message to be replied not found"},
		{"reply parameters", "sendMessage", []string{"chat_id", "77", "text", "a", "reply_parameters", `{}x`}, 400,
			bad + "can't parse reply parameters JSON object"},
		{"business", "sendMessage", []string{"chat_id", "77", "text", "a", "business_connection_id", "x"}, 400,
			bad + "business connection not found"},
		{"caption", "sendPhoto", []string{"chat_id", "77", "photo", "{photo}", "caption", strings.Repeat("x", 1025)}, 400,
			bad + "message caption is too long"},
		{"no photo", "sendPhoto", []string{"chat_id", "77"}, 400, bad + "there is no photo in the request"},
		{"no video note", "sendVideoNote", []string{"chat_id", "77"}, 400, bad + "there is no video note in the request"},
		{"wrong file id", "sendPhoto", []string{"chat_id", "77", "photo", "AAAA"}, 400,
			bad + "wrong remote file identifier specified: can't unserialize it. Wrong last symbol"},
		{"file id with a space", "sendDocument", []string{"chat_id", "77", "document", "a b"}, 400,
			bad + "wrong remote file identifier specified: Wrong character in the string"},
		{"photo as voice", "sendVoice", []string{"chat_id", "77", "voice", "{photo}"}, 400, bad + "can't use file of type Photo as Voice"},
		{"URL that fails", "sendPhoto", []string{"chat_id", "77", "photo", "http://127.0.0.1:1/a.png"}, 400, bad + "failed to get HTTP URL content"},
		{"getFile without id", "getFile", nil, 400, bad + "file_id not specified"},
		{"getFile", "getFile", []string{"file_id", "AAAA"}, 400, bad + "invalid file_id"},
		{"album", "sendMediaGroup", []string{"chat_id", "77"}, 400, bad + `parameter "media" is required`},
		{"album element", "sendMediaGroup", []string{"chat_id", "77", "media", `[{"type":"photo"}]`}, 400,
			bad + "can't parse InputMedia: media not found"},
		{"album of 11", "sendMediaGroup", []string{"chat_id", "77", "media", "[" + strings.Repeat(`{"type":"photo","media":"{photo}"},`, 10) + `{"type":"photo","media":"{photo}"}]`}, 400,
			bad + "too many messages to send as an album"},
		{"location", "sendLocation", []string{"chat_id", "77", "latitude", "1"}, 400, bad + "longitude is empty"},
		{"action", "sendChatAction", []string{"chat_id", "77", "action", "sleep"}, 400, bad + "wrong parameter action in request"},
		{"edit nothing", "editMessageText", []string{"chat_id", "77", "message_id", "999", "text", "a"}, 400, bad + "message to edit not found"},
		{"edit without id", "editMessageText", []string{"text", "a"}, 400, bad + "message identifier is not specified"},
		{"edit a customer's", "editMessageText", []string{"chat_id", "77", "message_id", "{theirs}", "text", "a"}, 400, bad + "message can't be edited"},
		{"edit without change", "editMessageText", []string{"chat_id", "77", "message_id", "{ours}", "text", "hello"}, 400,
			bad + "message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"},
		{"caption of a text", "editMessageCaption", []string{"chat_id", "77", "message_id", "{ours}", "caption", "a"}, 400,
			bad + "there is no caption in the message to edit"},
		{"text of a photo", "editMessageText", []string{"chat_id", "77", "message_id", "{picture}", "text", "a"}, 400,
			bad + "there is no text in the message to edit"},
		{"delete nothing", "deleteMessage", []string{"chat_id", "77", "message_id", "999"}, 400, bad + "message to delete not found"},
		{"delete none", "deleteMessages", []string{"chat_id", "77"}, 400, bad + "message identifiers are not specified"},
		{"delete too many", "deleteMessages", []string{"chat_id", "77", "message_ids", "[" + strings.Repeat("1,", 100) + "1]"}, 400,
			bad + "too many message identifiers specified"},
		{"reaction", "setMessageReaction", []string{"chat_id", "77", "message_id", "{theirs}", "reaction", `[{"type":"emoji","emoji":"x"}]`}, 400,
			bad + "REACTION_INVALID"},
		{"reaction to nothing", "setMessageReaction", []string{"chat_id", "77", "message_id", "999"}, 400, bad + "message to react not found"},
		{"two reactions", "setMessageReaction", []string{"chat_id", "77", "message_id", "{theirs}", "reaction", `[{"type":"emoji","emoji":"👍"},{"type":"emoji","emoji":"👎"}]`}, 400,
			bad + "REACTIONS_TOO_MANY"},
		{"answer to nothing", "answerCallbackQuery", []string{"callback_query_id", "1"}, 400,
			bad + "query is too old and response timeout expired or query ID is invalid"},
		{"webhook is no URL", "setWebhook", []string{"url", "https://"}, 400, bad + "invalid webhook URL specified"},
		{"secret too long", "setWebhook", []string{"url", "https://example.com/", "secret_token", strings.Repeat("a", 257)}, 400, bad + "secret token is too long"},
		{"secret characters", "setWebhook", []string{"url", "https://example.com/", "secret_token", "a.b"}, 400, bad + "secret token contains unallowed characters"},
		{"webhook http", "setWebhook", []string{"url", "http://example.com/"}, 400, bad + "bad webhook: An HTTPS URL must be provided for webhook"},
		{"webhook port", "setWebhook", []string{"url", "https://example.com:8444/"}, 400, bad + "bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443"},
		{"webhook address", "setWebhook", []string{"url", "https://10.0.0.1/"}, 400, bad + "bad webhook: IP address 10.0.0.1 is reserved"},
		{"command", "setMyCommands", []string{"commands", `[{"command":"Help","description":"a"}]`}, 400, bad + "BOT_COMMAND_INVALID"},
		{"command length", "setMyCommands", []string{"commands", `[{"command":"` + strings.Repeat("a", 33) + `","description":"a"}]`}, 400,
			bad + "command length must not exceed 32"},
		{"command description", "setMyCommands", []string{"commands", `[{"command":"a","description":""}]`}, 400, bad + "command description must be non-empty"},
		{"command field", "setMyCommands", []string{"commands", `[{"command":"a"}]`}, 400, bad + `can't parse BotCommand: Can't find field "description"`},
		{"commands", "setMyCommands", []string{"commands", "[" + strings.Repeat(`{"command":"a","description":"b"},`, 100) + `{"command":"a","description":"b"}]`}, 400,
			bad + "BOT_COMMANDS_TOO_MUCH"},
		{"scope", "setMyCommands", []string{"scope", `{"type":"planet"}`}, 400, bad + "can't parse BotCommandScope: Unsupported type specified"},
		{"language", "setMyDescription", []string{"language_code", "eng"}, 400, bad + "invalid language code specified"},
		{"description", "setMyDescription", []string{"description", strings.Repeat("é", 513)}, 400, bad + "BOT_DESCRIPTION_TOO_LONG"},
		{"short description", "setMyShortDescription", []string{"short_description", strings.Repeat("é", 121)}, 400, bad + "BOT_ABOUT_TOO_LONG"},
		{"name", "setMyName", []string{"name", strings.Repeat("é", 65)}, 400, bad + "BOT_NAME_TOO_LONG"},
		{"menu", "setChatMenuButton", []string{"menu_button", `{"type":"x"}`}, 400, bad + "can't parse menu button: MenuButton has unsupported type"},
	}
}

func TestRejections(t *testing.T) {
	w := started(t, func(o *telegram.Options) { o.AllowHTTP = false })
	ids := rejectionFixtures(t, w)
	for _, tt := range rejections() {
		t.Run(tt.name, func(t *testing.T) {
			params := make([]string, len(tt.params))
			for i, p := range tt.params {
				params[i] = ids.Replace(p)
			}
			a := w.call(tt.method, params...)
			assert.False(t, a.OK)
			assert.Equal(t, tt.text, a.Description)
			assert.Equal(t, tt.code, a.Code)
			assert.Equal(t, tt.code, a.HTTP)
		})
	}
}

// rejectionFixtures makes the people and messages that the table names.
func rejectionFixtures(t *testing.T, w *world) *strings.Replacer {
	t.Helper()
	w.srv.NewUser(telegram.User{ID: 78})
	w.srv.NewUser(telegram.User{ID: 79})
	w.srv.NewUser(telegram.User{ID: 80})
	_, err := w.bot.Customer(79).Start("")
	require.NoError(t, err)
	require.NoError(t, w.bot.Customer(79).Block())
	_, err = w.bot.Customer(80).Start("")
	require.NoError(t, err)
	require.NoError(t, w.srv.Deactivate(80))
	for _, id := range []int64{-500, -501} {
		_, err = w.srv.NewGroup(telegram.GroupSpec{ID: id, Title: "Group", Members: []int64{77}})
		require.NoError(t, err)
	}
	require.NoError(t, w.bot.SetGroupStatus(-500, "member", 77))
	require.NoError(t, w.bot.SetGroupStatus(-500, "kicked", 77))
	theirs, err := w.cust.SendAll(telegram.Outgoing{Photo: &telegram.Upload{Name: "a.png", Data: picture(t, 10, 10)}})
	require.NoError(t, err)
	photo := theirs[0].Photo[0].FileID
	ours := result[telegram.Message](t, w.call("sendMessage", "chat_id", "77", "text", "hello"))
	sent := result[telegram.Message](t, w.call("sendPhoto", "chat_id", "77", "photo", photo))
	return strings.NewReplacer("{photo}", photo, "{theirs}", fmt.Sprint(theirs[0].MessageID),
		"{ours}", fmt.Sprint(ours.MessageID), "{picture}", fmt.Sprint(sent.MessageID))
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	for path, want := range map[string]string{
		"/bot" + token + "/getMe":                        "200 ",
		"/bot" + token + "/GETME":                        "200 ",
		"/bot4242:" + strings.Repeat("A", 35) + "/getMe": "401 Unauthorized",
		"/bot1:" + secret + "/getMe":                     "401 Unauthorized",
		"/bot4242/getMe":                                 "404 Not Found",
		"/bot" + token:                                   "404 Not Found",
		"/botabc:def/getMe":                              "404 Not Found",
		"/":                                              "404 Not Found",
		"/file/bot" + token + "/photos/file_1.jpg":       "404 Not Found",
		"/file/bot1:" + secret + "/photos/file_1.jpg":    "401 Unauthorized",
	} {
		resp, err := http.Get(w.url + path)
		require.NoError(t, err)
		a := decode(t, resp)
		assert.Equal(t, want, fmt.Sprintf("%d %s", a.HTTP, a.Description), path)
	}
	require.NoError(t, w.bot.Revoke(strings.Repeat("B", 35)))
	assert.Equal(t, 401, w.call("getMe").Code, "the old token stops at once")
}

func TestBodies(t *testing.T) {
	w := started(t)
	const bad = "Bad Request: "
	for _, tt := range []struct{ contentType, body, text string }{
		{"application/json", `{"chat_id":77,"text":"a"}`, ""},
		{"application/json; charset=utf-8", ` {"chat_id":"77","text":"a","disable_notification":true} `, ""},
		{"application/json", `[1]`, bad + "JSON object expected"},
		{"application/json", `{"chat_id":77,`, bad + "can't parse parameter name: Opening '\"' expected"},
		{"application/json", `{"chat_id":77} x`, bad + "unexpected data after object end"},
		{"application/json", ``, bad + "message text is empty"},
		{"multipart/form-data", "", bad + "boundary not found"},
		{"text/plain", `{"chat_id":77,"text":"a"}`, bad + "message text is empty"},
	} {
		a := w.post("sendMessage", tt.contentType, strings.NewReader(tt.body))
		assert.Equal(t, tt.text, a.Description, "%s %s", tt.contentType, tt.body)
	}
	resp, err := http.Get(w.url + "/bot" + token + "/sendMessage?chat_id=77&text=a+%C3%A9")
	require.NoError(t, err)
	assert.Equal(t, "a é", result[telegram.Message](t, decode(t, resp)).Text)
}

// uploadForm makes a multipart body with one file.
func uploadForm(t testing.TB, field, name string, data []byte, kv ...string) (string, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	for i := 0; i+1 < len(kv); i += 2 {
		require.NoError(t, form.WriteField(kv[i], kv[i+1]))
	}
	part, err := form.CreateFormFile(field, name)
	require.NoError(t, err)
	_, err = part.Write(data)
	require.NoError(t, err)
	require.NoError(t, form.Close())
	return form.FormDataContentType(), &b
}

func TestUploadRejections(t *testing.T) {
	w := started(t)
	const bad = "Bad Request: "
	for _, tt := range []struct {
		name, method, field string
		data                []byte
		code                int
		text                string
	}{
		{"empty", "sendDocument", "document", nil, 400, bad + "file must be non-empty"},
		{"no picture", "sendPhoto", "photo", []byte("text"), 400, bad + "IMAGE_PROCESS_FAILED"},
		{"too wide", "sendPhoto", "photo", picture(t, 9000, 1001), 400, bad + "PHOTO_INVALID_DIMENSIONS"},
		{"too thin", "sendPhoto", "photo", picture(t, 210, 10), 400, bad + "PHOTO_INVALID_DIMENSIONS"},
		{"too large", "sendPhoto", "photo", make([]byte, 10<<20+1), 400,
			bad + "file of size 10485761 bytes is too big for a photo; the maximum size is 10485760 bytes"},
		{"far too large", "sendDocument", "document", make([]byte, 50<<20+1), 413, "Request Entity Too Large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			contentType, body := uploadForm(t, tt.field, "file", tt.data, "chat_id", "77")
			a := w.post(tt.method, contentType, body)
			assert.Equal(t, tt.text, a.Description)
			assert.Equal(t, tt.code, a.HTTP)
		})
	}
}
