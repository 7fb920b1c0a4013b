package telegram_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	tg "github.com/go-telegram/bot"
	"github.com/go-telegram/bot/models"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// These tests let a public client library judge the simulator: it must work
// with it as it works with the real service, and understand every answer.

// library makes a client of the library; New calls getMe.
func (w *world) library(opts ...tg.Option) *tg.Bot {
	w.t.Helper()
	opts = append([]tg.Option{tg.WithServerURL(w.url), tg.WithErrorsHandler(func(error) {})}, opts...)
	b, err := tg.New(token, opts...)
	require.NoError(w.t, err)
	return b
}

func TestLibraryGetMe(t *testing.T) {
	w := newWorld(t)
	me, err := w.library().GetMe(within(t))
	require.NoError(t, err)
	assert.EqualValues(t, botID, me.ID)
	assert.Equal(t, "keeper_bot", me.Username)
	assert.True(t, me.IsBot)
	_, err = tg.New("1:"+secret, tg.WithServerURL(w.url))
	assert.ErrorIs(t, err, tg.ErrorUnauthorized)
}

// conversation runs the same conversation with the library polling or behind a
// webhook.
func conversation(t *testing.T, w *world, start func(ctx context.Context, b *tg.Bot), opts ...tg.Option) {
	t.Helper()
	edited := make(chan struct{})
	opts = append(opts,
		tg.WithMessageTextHandler("start", tg.MatchTypeCommandStartOnly, func(ctx context.Context, b *tg.Bot, u *models.Update) {
			_, err := b.SendMessage(ctx, &tg.SendMessageParams{
				ChatID: u.Message.Chat.ID, Text: "<b>Welcome</b>, 😀 " + u.Message.From.FirstName, ParseMode: models.ParseModeHTML,
				ReplyParameters: &models.ReplyParameters{MessageID: u.Message.ID},
				ReplyMarkup: &models.InlineKeyboardMarkup{InlineKeyboard: [][]models.InlineKeyboardButton{
					{{Text: "Yes", CallbackData: "answer:yes"}, {Text: "Site", URL: "https://example.com"}},
				}},
			})
			assert.NoError(t, err)
		}),
		tg.WithCallbackQueryDataHandler("answer:", tg.MatchTypePrefix, func(ctx context.Context, b *tg.Bot, u *models.Update) {
			_, err := b.AnswerCallbackQuery(ctx, &tg.AnswerCallbackQueryParams{CallbackQueryID: u.CallbackQuery.ID, Text: "Noted", ShowAlert: true})
			assert.NoError(t, err)
			_, err = b.EditMessageText(ctx, &tg.EditMessageTextParams{
				ChatID: u.CallbackQuery.Message.Message.Chat.ID, MessageID: u.CallbackQuery.Message.Message.ID, Text: "You said " + u.CallbackQuery.Data,
			})
			assert.NoError(t, err)
			close(edited)
		}),
	)
	ctx, cancel := context.WithCancel(within(t))
	b := w.library(opts...)
	var wg sync.WaitGroup
	wg.Go(func() { start(ctx, b) })
	defer wg.Wait()
	defer cancel()

	_, err := w.cust.Start("")
	require.NoError(t, err)
	got, err := w.cust.WaitMessages(ctx, 1)
	require.NoError(t, err)
	assert.Equal(t, "Welcome, 😀 Ann", got[0].Text)
	assert.Equal(t, []telegram.Entity{{Type: "bold", Offset: 0, Length: 7}}, got[0].Entities)
	assert.Equal(t, "/start", got[0].ReplyToMessage.Text)

	id, err := w.cust.Press(got[0].MessageID, "Yes")
	require.NoError(t, err)
	answered, err := w.cust.WaitAnswer(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, telegram.CallbackAnswer{Text: "Noted", ShowAlert: true}, answered)
	entries, err := w.bot.WaitTranscript(ctx, telegram.Query{Chat: w.ann.ID, From: "bot", Event: "edit", Count: 1})
	require.NoError(t, err)
	<-edited // the handler has its answer; ending sooner would cancel its call
	var events []string
	for _, e := range entries {
		events = append(events, e.From+" "+e.Event)
	}
	assert.Equal(t, []string{"customer message", "bot message", "customer press", "bot answer", "bot edit"}, events)
	last := entries[len(entries)-1].Message
	assert.Equal(t, "You said answer:yes", last.Text)
	assert.Nil(t, last.ReplyMarkup, "an edit without keyboard removes it")
}

func TestLibraryPolling(t *testing.T) {
	w := newWorld(t)
	conversation(t, w, func(ctx context.Context, b *tg.Bot) { b.Start(ctx) })
}

func TestLibraryWebhook(t *testing.T) {
	w := newWorld(t)
	var handler http.HandlerFunc
	ready := make(chan struct{})
	ts := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		<-ready
		handler(rw, r)
	}))
	defer ts.Close()
	conversation(t, w, func(ctx context.Context, b *tg.Bot) {
		handler = b.WebhookHandler()
		close(ready)
		ok, err := b.SetWebhook(ctx, &tg.SetWebhookParams{
			URL: ts.URL + "/hook", SecretToken: "hook_secret", MaxConnections: 3, AllowedUpdates: []string{"message", "callback_query"},
		})
		assert.True(t, ok)
		assert.NoError(t, err)
		info, err := b.GetWebhookInfo(ctx)
		if assert.NoError(t, err) {
			assert.Equal(t, ts.URL+"/hook", info.URL)
			assert.Equal(t, []string{"message", "callback_query"}, info.AllowedUpdates)
		}
		b.StartWebhook(ctx)
	}, tg.WithWebhookSecretToken("hook_secret"))
	for _, d := range w.bot.Deliveries() {
		assert.Equal(t, 200, d.Status)
	}
}

func TestLibraryMedia(t *testing.T) {
	w := started(t)
	b, ctx := w.library(), within(t)
	photo := picture(t, 640, 480)
	m, err := b.SendPhoto(ctx, &tg.SendPhotoParams{
		ChatID: w.ann.ID, Caption: "a *bold* caption", ParseMode: models.ParseModeMarkdown,
		Photo: &models.InputFileUpload{Filename: "photo.png", Data: bytes.NewReader(photo)},
	})
	require.NoError(t, err)
	assert.Equal(t, "a bold caption", m.Caption)
	require.Len(t, m.Photo, 2)
	assert.Equal(t, 640, m.Photo[1].Width)

	again, err := b.SendPhoto(ctx, &tg.SendPhotoParams{ChatID: w.ann.ID, Photo: &models.InputFileString{Data: m.Photo[1].FileID}})
	require.NoError(t, err)
	assert.Equal(t, m.Photo[1].FileUniqueID, again.Photo[1].FileUniqueID, "an id sends the same file again")

	files := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "image/png")
		_, _ = rw.Write(photo)
	}))
	defer files.Close()
	_, err = b.SendPhoto(ctx, &tg.SendPhotoParams{ChatID: w.ann.ID, Photo: &models.InputFileString{Data: files.URL + "/p.png"}})
	require.NoError(t, err, "a URL is fetched")

	doc, err := b.SendDocument(ctx, &tg.SendDocumentParams{
		ChatID: w.ann.ID, Document: &models.InputFileUpload{Filename: "bill.pdf", Data: strings.NewReader("%PDF-1.7")},
	})
	require.NoError(t, err)
	assert.Equal(t, "bill.pdf", doc.Document.FileName)

	album, err := b.SendMediaGroup(ctx, &tg.SendMediaGroupParams{ChatID: w.ann.ID, Media: []models.InputMedia{
		&models.InputMediaPhoto{Media: "attach://one.png", Caption: "one", MediaAttachment: bytes.NewReader(photo)},
		&models.InputMediaPhoto{Media: m.Photo[1].FileID},
	}})
	require.NoError(t, err)
	require.Len(t, album, 2)
	assert.NotEmpty(t, album[0].MediaGroupID)
	assert.Equal(t, album[0].MediaGroupID, album[1].MediaGroupID)

	voice := []byte("OggS voice")
	sent, err := w.cust.SendAll(telegram.Outgoing{Voice: &telegram.Upload{Data: voice, Duration: 2}})
	require.NoError(t, err)
	f, err := b.GetFile(ctx, &tg.GetFileParams{FileID: sent[0].Voice.FileID})
	require.NoError(t, err)
	resp, err := http.Get(b.FileDownloadLink(f))
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, voice, data)

	huge, err := w.cust.SendAll(telegram.Outgoing{Document: &telegram.Upload{Data: make([]byte, 20<<20+1)}})
	require.NoError(t, err)
	_, err = b.GetFile(ctx, &tg.GetFileParams{FileID: huge[0].Document.FileID})
	assert.ErrorContains(t, err, "file is too big")
}

func TestLibraryEditDeleteReact(t *testing.T) {
	w := started(t)
	b, ctx := w.library(), within(t)
	m, err := b.SendMessage(ctx, &tg.SendMessageParams{ChatID: w.ann.ID, Text: "one"})
	require.NoError(t, err)
	edited, err := b.EditMessageText(ctx, &tg.EditMessageTextParams{ChatID: w.ann.ID, MessageID: m.ID, Text: "two"})
	require.NoError(t, err)
	assert.NotZero(t, edited.EditDate)
	_, err = b.EditMessageText(ctx, &tg.EditMessageTextParams{ChatID: w.ann.ID, MessageID: m.ID, Text: "two"})
	assert.ErrorIs(t, err, tg.ErrorBadRequest)
	theirs, err := w.cust.Send("thanks")
	require.NoError(t, err)
	_, err = b.SetMessageReaction(ctx, &tg.SetMessageReactionParams{ChatID: w.ann.ID, MessageID: int(theirs.MessageID), Reaction: []models.ReactionType{
		{Type: models.ReactionTypeTypeEmoji, ReactionTypeEmoji: &models.ReactionTypeEmoji{Emoji: "❤"}},
	}})
	require.NoError(t, err)
	_, err = b.SendChatAction(ctx, &tg.SendChatActionParams{ChatID: w.ann.ID, Action: models.ChatActionTyping})
	require.NoError(t, err)
	_, err = b.DeleteMessage(ctx, &tg.DeleteMessageParams{ChatID: w.ann.ID, MessageID: m.ID})
	require.NoError(t, err)
	_, err = b.DeleteMessage(ctx, &tg.DeleteMessageParams{ChatID: w.ann.ID, MessageID: m.ID})
	assert.ErrorIs(t, err, tg.ErrorBadRequest)
	var events []string
	for _, e := range w.cust.Transcript() {
		events = append(events, e.Event)
	}
	assert.Equal(t, strings.Fields("message message edit message reaction action delete"), events)
}

func TestLibraryProfile(t *testing.T) {
	w := newWorld(t)
	b, ctx := w.library(), within(t)
	_, err := b.SetMyCommands(ctx, &tg.SetMyCommandsParams{
		Commands: []models.BotCommand{{Command: "help", Description: "Get help"}}, LanguageCode: "de",
		Scope: &models.BotCommandScopeAllPrivateChats{},
	})
	require.NoError(t, err)
	got, err := b.GetMyCommands(ctx, &tg.GetMyCommandsParams{LanguageCode: "de", Scope: &models.BotCommandScopeAllPrivateChats{}})
	require.NoError(t, err)
	assert.Equal(t, []models.BotCommand{{Command: "help", Description: "Get help"}}, got)
	got, err = b.GetMyCommands(ctx, &tg.GetMyCommandsParams{})
	require.NoError(t, err)
	assert.Empty(t, got, "another scope and language")
	_, err = b.SetMyDescription(ctx, &tg.SetMyDescriptionParams{Description: "We answer."})
	require.NoError(t, err)
	_, err = b.SetMyShortDescription(ctx, &tg.SetMyShortDescriptionParams{ShortDescription: "Short."})
	require.NoError(t, err)
	_, err = b.SetMyName(ctx, &tg.SetMyNameParams{Name: "New Name"})
	require.NoError(t, err)
	description, err := b.GetMyDescription(ctx, &tg.GetMyDescriptionParams{LanguageCode: "fr"})
	require.NoError(t, err)
	assert.Equal(t, "We answer.", description.Description, "without a French text the default shows")
	me, err := b.GetMe(ctx)
	require.NoError(t, err)
	assert.Equal(t, "New Name", me.FirstName)
	_, err = b.SetChatMenuButton(ctx, &tg.SetChatMenuButtonParams{MenuButton: &models.MenuButtonWebApp{
		Type: models.MenuButtonTypeWebApp, Text: "Shop", WebApp: models.WebAppInfo{URL: "https://example.com"},
	}})
	require.NoError(t, err)
	menu, err := b.GetChatMenuButton(ctx, &tg.GetChatMenuButtonParams{ChatID: w.ann.ID})
	require.NoError(t, err)
	assert.Equal(t, models.MenuButtonTypeWebApp, menu.Type)
	p := w.bot.Profile()
	assert.Equal(t, "Short.", p.ShortDescription[""])
	assert.Contains(t, p.Commands, "all_private_chats/de")
}

func TestLibraryErrorTypes(t *testing.T) {
	w := started(t)
	b, ctx := w.library(), within(t)
	send := func(chat int64) error {
		_, err := b.SendMessage(ctx, &tg.SendMessageParams{ChatID: chat, Text: "a"})
		return err
	}
	assert.ErrorIs(t, send(1), tg.ErrorBadRequest)
	require.NoError(t, w.cust.Block())
	assert.ErrorIs(t, send(w.ann.ID), tg.ErrorForbidden)
	require.NoError(t, w.cust.Unblock())

	w.fault(telegram.Fault{Kind: telegram.FaultRateLimit, RetryAfter: 5, Times: 1})
	var limited *tg.TooManyRequestsError
	require.True(t, errors.As(send(w.ann.ID), &limited))
	assert.Equal(t, 5, limited.RetryAfter)

	g, err := w.srv.NewGroup(telegram.GroupSpec{Title: "Team"})
	require.NoError(t, err)
	require.NoError(t, w.bot.SetGroupStatus(g.ID, "administrator", w.ann.ID))
	super, err := w.bot.UpgradeGroup(g.ID)
	require.NoError(t, err)
	var migrated *tg.MigrateError
	require.True(t, errors.As(send(g.ID), &migrated))
	assert.EqualValues(t, super, migrated.MigrateToChatID)
}
