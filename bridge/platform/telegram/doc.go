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
// the message_id, which is unique within the chat only. Edits, reactions,
// pressed buttons and deletions have no id of their own and take the update's:
// "update:" and update_id, with a second colon where one update makes several.
//
// # What becomes of an update
//
// Messages of every kind become messages; kinds without a counterpart (polls,
// dice, gifts …) become unsupported ones with the kind's name. Each picture of
// an album is a message of its own, as Telegram sends them. Service messages
// (somebody joined, a title changed) and queries that no Channel can answer
// (inline, payments) become nothing; they stay in the raw journal. Reactions
// name a chat and never a topic.
package telegram
