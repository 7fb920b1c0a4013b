// Package meta is what Messenger and Instagram messaging share: one Graph API,
// one form of webhooks, one way to sign. Neither is a platform of this package;
// packages messenger and instagram say what is different (Product).
//
//	webhook ─X-Hub-Signature-256─► Verify ─► Parse ─► events, each with its account
//	part ─► Send ─► POST /{account}/messages, /message_attachments
//	duties ─► /me, /debug_token · /{app}/subscriptions · /subscribed_apps · /messenger_profile
//
// # One URL per app
//
// Meta calls one URL per app and object for all pages of the app, and may put
// elements of several pages into one request. Parse names the account of each
// element (entry[].id); whose channel that is, the gateway decides. Requests
// are signed with the app's secret; every Channel brings it along, so that an
// element reaches only a Channel which would have accepted the request itself.
//
// # Addresses and keys
//
// A contact's external id is the id that Meta gives the person for this page
// (PSID) or account (IGSID); "user_ref:" and the reference for somebody who has
// only ticked the checkbox plugin. Messages have a mid. What has none gets a
// key of what it is about, the same at every repetition:
//
//	reaction:<mid>:<action>:<time>    edit:<mid>:<number>     deletion:<mid>
//	postback:<hash of sender, time, payload>   referral:<hash>   optin:<hash>
//	delivered:<mid>, read:<mid>, delivered:<contact>:<watermark>, read:…
//
// # What becomes of an element
//
// Texts, attachments, quick replies (postbacks with a text), postbacks,
// referrals, opt-ins, reactions, edits, deletions, receipts become events. A
// message to a thread that another app has (standby) is marked so. What the
// page wrote elsewhere (echo) is outbound; what this outbox wrote itself is
// known by its tag in the metadata, and becomes nothing. Nothing also becomes
// of what is about no message, which stays in the raw journal only: handovers
// between apps (pass_thread_control, take_thread_control,
// request_thread_control, app_roles), policy_enforcement (about the page),
// comments and other changes of the feed, a business writing to itself
// (is_self). Account linking is an unsupported message: somebody may wait for
// an answer to it.
//
// Media come as links to Meta's network that whoever has them can open; they
// are the Ref of an attachment and leave the data plane never. Stories are not
// fetched: they end after a day, and what ended must not be kept.
package meta
