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
// Messages of every kind become messages; kinds without a counterpart (polls,
// dice, gifts …) become unsupported ones with the kind's name. Each picture of
// an album is a message of its own, as Telegram sends them; they share a Group.
// Service messages (somebody joined, a title changed) become nothing; they stay
// in the raw journal. Reactions name a chat and never a topic.
//
// The Start button of a deep link (t.me/<bot>?start=<payload>) writes "/start
// <payload>" in the person's name. That is a postback with the payload, with
// the text kept and the message's own id; a plain "/start" is a text. That the
// person can be written to again follows from either, as from every message.
//
//	my_chat_member       membership of the chat: blocked, removed, back again
//	business_connection  membership of the owner's address with the connection
//	                     (user_chat_id@id): whether the bot may answer there
//	chat_join_request    unsupported message from the person's private chat, with
//	                     the title of what they want to join as its text
//
// # What is not asked for
//
// Telegram sends the kinds of allowedUpdates only. What is left out is neither
// delivered nor in the raw journal:
//
//	message_reaction_count  numbers without a person, of anonymous reactions
//	chat_member             what became of other members of a group; whether the
//	                        bot can write there is in my_chat_member
//	poll, poll_answer       state and votes of polls that the bot itself sent,
//	                        which a Channel never does; neither names the chat
//	inline_query, chosen_inline_result
//	                        typed into other people's chats while searching, and
//	                        to be answered within seconds with results that a
//	                        Channel does not have; neither names a chat
//	shipping_query, pre_checkout_query, purchased_paid_media
//	                        payments: a Channel sends no invoices
//	chat_boost, removed_chat_boost and other news of the chat or the bot
//	                        nobody says anything to the shop
package telegram
