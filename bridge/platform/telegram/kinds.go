package telegram

import (
	"slices"
)

// Kinds of updates; the package's documentation has a table of what becomes of
// each.
const (
	updateMessage         = "message"
	updateEdited          = "edited_message"
	updateChannelPost     = "channel_post"
	updateEditedPost      = "edited_channel_post"
	updateBusiness        = "business_message"
	updateEditedBusiness  = "edited_business_message"
	updateDeletedBusiness = "deleted_business_messages"
	updateGuest           = "guest_message"
	updateReaction        = "message_reaction"
	updateReactionCount   = "message_reaction_count"
	updateCallback        = "callback_query"
	updateInlineQuery     = "inline_query"
	updateChosenInline    = "chosen_inline_result"
	updateShipping        = "shipping_query"
	updatePreCheckout     = "pre_checkout_query"
	updatePaidMedia       = "purchased_paid_media"
	updatePoll            = "poll"
	updatePollAnswer      = "poll_answer"
	updateMyChatMember    = "my_chat_member"
	updateChatMember      = "chat_member"
	updateConnection      = "business_connection"
	updateJoinRequest     = "chat_join_request"
	updateBoost           = "chat_boost"
	updateBoostRemoved    = "removed_chat_boost"
	updateManagedBot      = "managed_bot"
)

// allowedUpdates is what Telegram is asked for: everything, so that what
// becomes no event is in the raw journal at least. The list has to be given:
// without one Telegram leaves chat_member and both kinds of reactions out, or
// goes on with the list of the token's earlier owner.
var allowedUpdates = []string{
	updateMessage, updateEdited, updateChannelPost, updateEditedPost, updateBusiness, updateEditedBusiness,
	updateDeletedBusiness, updateGuest, updateReaction, updateReactionCount, updateCallback, updateInlineQuery,
	updateChosenInline, updateShipping, updatePreCheckout, updatePaidMedia, updatePoll, updatePollAnswer,
	updateMyChatMember, updateChatMember, updateConnection, updateJoinRequest, updateBoost, updateBoostRemoved,
	updateManagedBot,
}

// youngUpdates came after Bot API 7.9 (2024). A server of one's own that is
// older passes over names that it does not know, and does not list them either.
var youngUpdates = set(updateGuest, updatePaidMedia, updateManagedBot)

// asksForAll says whether the kinds that a server reports for a webhook are
// those that were asked for, as far as it knows them.
func asksForAll(reported []string) bool {
	known := set(allowedUpdates...)
	for _, kind := range reported {
		if !known[kind] {
			return false
		}
	}
	for _, kind := range allowedUpdates {
		if !youngUpdates[kind] && !slices.Contains(reported, kind) {
			return false
		}
	}
	return true
}
