// Package telegram plays the Telegram Bot API: bots on one side, customers on
// the other, and Telegram's own habits in between.
//
//	  bot under test                     Server                    customers
//	──────────────────      ───────────────────────────────      ─────────────
//	POST /bot<token>/…  ──► parse ► faults ► limits ► method ──► Transcript
//	                                                   │
//	getUpdates          ◄── queue ◄── filter ◄─────────┴──────◄─ Customer.Send
//	POST <webhook url>  ◄── delivery (lanes, retries)            Press, Block …
//
// It is strict: what the real service rejects is rejected here, with the same
// code and the same words, because an adapter that was only ever shown a
// lenient double meets the real rules in production. Sources: the public
// specification of the Bot API, the published source of the Bot API server
// (github.com/tdlib/telegram-bot-api) and of the library below it
// (github.com/tdlib/td) for the order of checks and the texts. Where a rule
// is enforced by Telegram's closed part, the text is the one that public bug
// reports quote; README.md lists the rules that are guesses.
//
// A Server is one world: users, groups and bots. Everything about it is in
// memory and bounded; nothing survives Close. All methods of all types may be
// called concurrently.
package telegram
