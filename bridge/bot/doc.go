// Package bot is the built-in bot: keywords, patterns and menus, as a pure function.
//
//	Spec ──Compile──► *Bot                      nothing else: no clock, no network
//	                    │
//	 State + Input ──Step──► Replies + State + Handover?
//	   ▲                                 │
//	   └──────── kept by the store ◄─────┘
//
// What an input does, the first that applies:
//
//  1. a word that asks for a person (Handover.Keywords, of every language): handover;
//  2. more turns than MaxTurns: handover;
//  3. a pressed button, of whichever menu: its option;
//  4. the number, the title or a keyword of an option of the menu that was shown last: that option;
//  5. keywords or pattern of an answer, in the order of the spec: that answer;
//  6. the first message: the greeting and the first menu;
//  7. anything else: the fallback, and with it the menu again; the MaxMisses-th of them in
//     a row: handover.
//
// A step that hands over says one thing at most, and nothing after it: what a bot
// says once a person is on the way only confuses.
//
// # Where this departs from the sketch
//
// The reason LowConfidence is called NotUnderstood: this bot has no confidence. The
// reason Failure is never given by Step, which cannot fail: the store gives it when
// an external bot does not answer. The words that ask for a person are a type of
// their own, [Keywords], so that they work in front of an external bot as well,
// also when that one is down.
package bot
