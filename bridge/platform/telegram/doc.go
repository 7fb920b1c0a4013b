// Package telegram connects bots of the Telegram Bot API.
//
//	webhook ─secret token─► Verify ─► Parse ─┐
//	getUpdates ──────────► poll ────► Parse ─┴─► events
//	parts ─► Send ─► sendMessage, sendPhoto, editMessageText …
//	duties ─► getMe · setWebhook, deleteWebhook · setMyCommands …
//
// # Addresses
//
// A contact is a chat, because a chat is what one answers to: a person's
// private chat, a group, a channel. In groups the message's Author names who
// spoke. The external id of a contact is the chat's id, followed by the topic
// in a group with topics and by the connection for a business account's chats,
// where answers must name it:
//
//	111              a private chat
//	-100123/7        topic 7 of a supergroup
//	111@Abc          the chat of the business account connected as Abc with 111
//
// A message's external id is its chat's address without the topic, a colon and
// the message_id, which is unique within the chat only. Edits, reactions, pressed
// inline buttons, deletions and requests to join have no id of their own and
// take the update's: "update:" and update_id, with a second colon where one
// update makes several.
//
// # What becomes of an update
//
// Every kind is asked for (allowedUpdates), so that what becomes nothing, of
// these or of kinds to come, is in the raw journal at least.
//
//	message, channel_post            message
//	business_message                 message; the owner's own: an echo
//	edited_…                         edit
//	deleted_business_messages        deletion, one per message
//	message_reaction                 reactions put on and taken off, by Author
//	message_reaction_count           reactions of nobody in particular
//	                                 (message.AuthorAnonymous), without numbers
//	callback_query                   postback; answered, so that the button stops
//	                                 spinning. Of a message sent through inline
//	                                 mode: from the person's private chat
//	poll_answer                      postback "poll:<poll id>:<options>" from the
//	                                 voter's private chat: which options, counted
//	                                 from 0, with commas; none: taken back
//	purchased_paid_media             postback with the media's payload
//	shipping_query, pre_checkout_query
//	                                 unsupported message from the person's private
//	                                 chat with the invoice's payload. Nothing here
//	                                 approves a payment: Telegram ends it after 10 s
//	guest_message                    unsupported message from the person's private
//	                                 chat: they mentioned the bot where it is not
//	chat_join_request                unsupported message from the person's private
//	                                 chat, with the title of what they want to join
//	my_chat_member                   membership of the chat: blocked, removed, back
//	business_connection              membership of the owner's address with the
//	                                 connection (user_chat_id@id): whether the bot
//	                                 may answer there
//	inline_query                     nothing; answered with no results, as whoever
//	                                 types it waits. It names no chat
//	chosen_inline_result             nothing: there are no results to choose from
//	poll                             nothing: numbers of a poll, without a chat
//	chat_member                      nothing: that one of a group came or went says
//	                                 nothing of whether the group can be written to
//	chat_boost, removed_chat_boost, managed_bot
//	                                 nothing: nobody says anything to the shop
//
// Messages of every kind become messages; kinds without a counterpart (polls,
// dice, gifts …) become unsupported ones with the kind's name and what can be
// said of them in words. Each picture of an album is a message of its own, as
// Telegram sends them; they share a Group. Service messages (somebody joined, a
// title changed) become nothing. Reactions name a chat and never a topic.
//
// Formatting, links and mentions are kept as entities of the text or of the
// attachment's caption, in Telegram's unit (UTF-16) and under the names of
// message.Entity. What is sent is plain text: a text is cut into parts by what
// fits, and parse_mode would make it fail for a stray underscore.
//
// The Start button of a deep link (t.me/<bot>?start=<payload>) writes "/start
// <payload>" in the person's name. That is a postback with the payload, with
// the text kept and the message's own id; a plain "/start" is a text. That the
// person can be written to again follows from either, as from every message.
package telegram
