package telegram

import "strings"

// method is one method of the Bot API.
type method struct {
	name string
	run  func(*call) (any, *apiError) // nil: known, but not played here
	// waits says that run takes the lock itself, because it waits without it.
	waits bool
}

// methods are all methods by lower-case name: the Bot API does not mind case.
var methods = func() map[string]*method {
	out := map[string]*method{}
	for name := range strings.FieldsSeq(unplayed) {
		out[strings.ToLower(name)] = &method{name: name}
	}
	for name := range sendKinds {
		out[strings.ToLower(name)] = &method{name: name, run: send}
	}
	for name, run := range played {
		out[strings.ToLower(name)] = &method{name: name, run: run}
	}
	out["getupdates"] = &method{name: "getUpdates", run: getUpdates, waits: true}
	return out
}()

// played are the methods besides those that send one message.
var played = map[string]func(*call) (any, *apiError){
	"getMe": getMe, "logOut": logOut, "close": closeBot,
	"setWebhook": setWebhook, "deleteWebhook": deleteWebhook, "getWebhookInfo": getWebhookInfo,
	"sendMediaGroup": sendMediaGroup, "sendChatAction": sendChatAction,
	"copyMessage": copyMessage, "forwardMessage": forwardMessage,
	"editMessageText": editMessageText, "editMessageCaption": editMessageCaption,
	"editMessageReplyMarkup": editMessageReplyMarkup, "editMessageMedia": editMessageMedia,
	"deleteMessage": deleteMessage, "deleteMessages": deleteMessages, "setMessageReaction": setMessageReaction,
	"answerCallbackQuery": answerCallbackQuery, "answerInlineQuery": answerInlineQuery, "getFile": getFile,
	"getChat": getChat, "getChatMember": getChatMember, "leaveChat": leaveChat,
	"setMyCommands": setMyCommands, "getMyCommands": getMyCommands, "deleteMyCommands": deleteMyCommands,
	"setMyName": profileName.set, "getMyName": profileName.get,
	"setMyDescription": profileDescription.set, "getMyDescription": profileDescription.get,
	"setMyShortDescription": profileShort.set, "getMyShortDescription": profileShort.get,
	"setChatMenuButton": setChatMenuButton, "getChatMenuButton": getChatMenuButton,
	"setMyDefaultAdministratorRights": setMyDefaultAdministratorRights,
	"getMyDefaultAdministratorRights": getMyDefaultAdministratorRights,
	"getBusinessConnection":           getBusinessConnection,
	"readBusinessMessage":             readBusinessMessage,
	"deleteBusinessMessages":          deleteBusinessMessages,
}

// unplayed are the methods of Bot API 10.1 that the simulator knows and does
// not play: they are answered with 501, so that nobody takes them for typing
// mistakes (404) or for working (200).
const unplayed = `addStickerToSet answerPreCheckoutQuery answerShippingQuery answerWebAppQuery
approveChatJoinRequest approveSuggestedPost banChatMember banChatSenderChat closeForumTopic closeGeneralForumTopic
convertGiftToStars copyMessages createChatInviteLink createChatSubscriptionInviteLink createForumTopic createInvoiceLink
createNewStickerSet declineChatJoinRequest declineSuggestedPost deleteChatPhoto deleteChatStickerSet deleteForumTopic
deleteStickerFromSet deleteStickerSet deleteStory editChatInviteLink editChatSubscriptionInviteLink editForumTopic
editGeneralForumTopic editMessageChecklist editMessageLiveLocation editStory editUserStarSubscription exportChatInviteLink
forwardMessages getAvailableGifts getBusinessAccountGifts getBusinessAccountStarBalance getChatAdministrators getChatGifts
getChatMemberCount getCustomEmojiStickers getForumTopicIconStickers getGameHighScores getMyStarBalance getStarTransactions
getStickerSet getUserChatBoosts getUserGifts getUserProfileAudios getUserProfilePhotos giftPremiumSubscription
hideGeneralForumTopic pinChatMessage postStory promoteChatMember refundStarPayment removeBusinessAccountProfilePhoto
removeChatVerification removeMyProfilePhoto removeUserVerification reopenForumTopic reopenGeneralForumTopic
replaceStickerInSet repostStory restrictChatMember revokeChatInviteLink savePreparedInlineMessage sendChecklist sendDice
sendGame sendGift sendInvoice sendMessageDraft sendPaidMedia sendPoll setBusinessAccountBio setBusinessAccountGiftSettings
setBusinessAccountName setBusinessAccountProfilePhoto setBusinessAccountUsername setChatAdministratorCustomTitle
setChatDescription setChatPermissions setChatPhoto setChatStickerSet setChatTitle setCustomEmojiStickerSetThumbnail
setGameScore setMyProfilePhoto setPassportDataErrors setStickerEmojiList setStickerKeywords setStickerMaskPosition
setStickerPositionInSet setStickerSetThumbnail setStickerSetTitle setUserEmojiStatus stopMessageLiveLocation stopPoll
transferBusinessAccountStars transferGift unbanChatMember unbanChatSenderChat unhideGeneralForumTopic unpinAllChatMessages
unpinAllForumTopicMessages unpinAllGeneralForumTopicMessages unpinChatMessage upgradeGift uploadStickerFile verifyChat
verifyUser`

func getMe(c *call) (any, *apiError) {
	return struct {
		User
		CanJoinGroups           bool `json:"can_join_groups"`
		CanReadAllGroupMessages bool `json:"can_read_all_group_messages"`
		SupportsInlineQueries   bool `json:"supports_inline_queries"`
		CanConnectToBusiness    bool `json:"can_connect_to_business"`
		HasMainWebApp           bool `json:"has_main_web_app"`
	}{User: c.bot.user, CanJoinGroups: true, SupportsInlineQueries: true, CanConnectToBusiness: true}, nil
}

// logOut and close concern running a server of one's own; the public service
// answers them with true as well.
func logOut(*call) (any, *apiError) { return true, nil }

func closeBot(*call) (any, *apiError) { return true, nil }

func getChat(c *call) (any, *apiError) {
	t, err := c.resolveChat(toRead)
	if err != nil {
		return nil, err
	}
	return struct {
		Chat
		AccentColorID    int `json:"accent_color_id"`
		MaxReactionCount int `json:"max_reaction_count"`
	}{t.chat, 0, 11}, nil
}

func getChatMember(c *call) (any, *apiError) {
	user := parseID(c.arg("user_id"))
	if user <= 0 {
		return nil, badRequest("Invalid user_id specified")
	}
	t, err := c.resolveChat(toRead)
	if err != nil {
		return nil, err
	}
	g := c.server.groups[t.chat.ID]
	if user == c.bot.user.ID {
		status := "member"
		if g != nil {
			status = g.bots[user]
		}
		return ChatMember{Status: status, User: c.bot.user}, nil
	}
	u := c.server.users[user]
	if u == nil {
		return nil, badRequest("PARTICIPANT_ID_INVALID")
	}
	status := "left"
	if g == nil && user == t.chat.ID || g != nil && g.members[user] {
		status = "member"
	}
	return ChatMember{Status: status, User: u.user}, nil
}

func leaveChat(c *call) (any, *apiError) {
	t, err := c.resolveChat(toRead)
	if err != nil {
		return nil, err
	}
	g := c.server.groups[t.chat.ID]
	if g == nil {
		return nil, badRequest("Chat member status can't be changed in private chats")
	}
	old := g.bots[c.bot.user.ID]
	g.bots[c.bot.user.ID] = "left"
	c.bot.memberUpdate(g.chat, c.bot.user, old, "left")
	return true, nil
}
