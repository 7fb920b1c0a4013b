// Package routing decides who gets a conversation, and says why. It is pure: no
// store, no clock, no random number, no Kubernetes; integers only where people are
// divided. The store collects facts, asks, does what it is told, and keeps both.
//
//	RoutingPolicy ──Compile──► *Program ──NewChain──► *Chain          once per version
//	 (Policy, Refs)     │          │                     │
//	        []Finding ◄─┘          └─ Hash, Archive ─┐   │
//	   (status, lint, CI)                            │   │
//	                                                 │   ▼
//	 store ──Facts (kept)──────────────────────► Chain.Decide ──► Decision (kept)
//	   ▲                                             │               │
//	   │  Position, Deadline, Set, Skills, Text ◄────┼───────────────┘
//	   │                                             ▼
//	   │                       Explain(FromArchive(…), Facts, Decision): rule by rule, bit-exact
//	   │
//	   └── AgentQueue: Snapshot (agents, waiting) ──Choose──► Assignments
//
// # Order of stages for one inbound message
//
//	1 duplicate?  2 opt-out, opt-in, HELP  3 blocked by privacy or legal hold  4 an open survey's reply
//	5 a notification's quick reply  6 the owner it has  7 routing policies, rule by rule  8 the default route
//
// This package is stages 7 and 8. Stages 1 to 6 are the store's: a conversation with
// an owner is not routed again by its next message, only by an [Event].
//
// # How a decision is made
//
//  1. A conversation that was moved [MaxStepChanges] times, or changed owner [MaxOwnerChanges] times, within an
//     hour is held in the default route (Via LoopGuard; the policy is Looping for an hour).
//  2. Reopened: back to the agent who had it, as Policy.Reopen says.
//  3. StepExpired, StepFailed: the next step of the rule it is in, if it is in this version
//     of the policy. In another version it has just finished its step, and begins anew.
//  4. Rules in order. Matches of a rule are alternatives, fields of a match must all hold, and the first rule
//     that matches wins. What fails (an expression on a missing key, a schedule nobody knows) is no match.
//  5. Else the default route, which every policy has.
//
// In a rule, the first step that can be had is entered. A step is skipped when: its sticky
// agent cannot have it (and it has no backends), the backend drawn does not exist, is
// failing, is full, is the bot that has just handed off, is closed (NextStep) or skipIf says so. A skipped
// step's share is not given to its other backends: who was drawn for a pilot that
// is broken goes on to the next step, and so the split stays what it says. With the steps used up the
// conversation waits in the last queue (Hold), takes the default route, or is closed.
//
// At most one text is sent by the policy itself, and none while a bot speaks: the away text
// when the queue is closed, else on Opened the greeting, else the auto-reply.
//
// Several policies on a channel form a [Chain]: the first of which a rule matches decides;
// only if none does, the default route of the first. Order is priority, then name, never age.
//
// # Facts
//
// [Facts] are everything a decision depends on, and their JSON is stable (see testdata, and
// Program.Needs for what to collect). Whether schedules are open is a fact, found once by
// Program.ScheduleFacts, because two machines can have different zone data. The Deadline of a
// step is worked out once as well, and kept as a timer, not replayed. A replay of CEL
// is exact for one version of cel-go, whose semantics are a specification of their own.
//
// # Splits
//
// [Slot] and [Pick] are specified to the bit, and testdata has them in Python and SQL.
// The key of a step's split is seed, rule, step, unit; the default route's is seed, "default", "default",
// unit. Raising the last weight only adds people to it; so a canary stands last.
//
// # What is proved about a policy
//
// Shadowed rules are found by comparing the structured fields ([RuleState]): what is
// called shadowed never matches; what is not may still. Steps that lead in a circle, weights
// that are all zero, expressions that do not compile, are of no bool, or can cost too much
// drop their rule and leave the others; a default route that does not work rejects the
// policy. CEL has no side effects here: nothing but the facts and the standard library is declared.
//
// # Where this departs from the sketch (research/routing-surveys.md, section 2)
//
//   - evaluateOn is left out. Opened and HandoffRequested must always be routed, or a
//     conversation would be owned by nobody; reopen.reroute says it for Reopened; a step that is
//     over always goes on. There is one more event, StepFailed: a full queue or a broken bot ends the step at
//     once.
//   - skipIf is a structure instead of CEL: the sketch's uses are four comparisons, which can be
//     explained with their numbers and cost nothing.
//   - variables are left out: what a rule shares with another is compared once anyway, and one expression
//     per match is what the cost limit is about.
//   - hash is called split, since "hash" is the version of a policy.
//   - sticky has no source: the last agent is the only one there is. Its queue is one of the step's or
//     rule's of which the agent is a member.
//   - skills are objects with a minLevel, not strings; a preferred skill with dropAfter is required until then.
//   - reopen has no "as": the channel's reopenWindow decides whether it is the same conversation
//     (DESIGN 5); within is for how long the agent gets it back.
//   - texts stand in the policy, by language, until there are message templates.
//   - default routes are queues only, and steps can name the next one (a bot, then a
//     queue, then the bot again), which is why circles are looked for.
//   - Bots and webhooks count as open at all hours; outOfHours is about queues.
//   - priorities are points: see QueueSpec.PriorityBoostPerMinute for what waiting is worth.
//   - maxWait ends the step of a conversation (Limits.Overdue), as its timeout does.
//   - languages are not detected from texts. The library whose models fit beside a store (trigrams,
//     0.4 MB) was sure, at the sketch's confidence of 0.8, of 12 in 42 typical first messages, takes
//     0.2 ms each, in the transaction that decides, where a message as a whole takes 0.1 ms, and has had no release
//     since 2019; the one that is better with short texts wants 2 GB for all its languages, where store
//     and bridge have 120 MB together. With 3 in 10 recognised, rules about languages would
//     treat the same people now so, now so. Instead who has understood the contact says it (a bot, a webhook, an
//     agent: LanguageSet), which is kept, and begins the contact's next conversation; else the
//     profile counts, else the channel's defaultLanguage. Facts and REST tell which of them it was.
//   - a merge does not keep the first assignment of a split: the unit is the contact that stays, so that
//     somebody of a pilot can get the other arm with a later conversation. Keeping it would need a table of units,
//     and Slot would be no function of its key any more.
//   - there is no annotation that lets who waits enter a new version at once: they finish their
//     step, and begin anew with its end; a step without timeout lasts as long as its queue does.
//   - who began while no policy of the channel was in force is routed when one is, if they wrote within the
//     last 24 hours and nobody has answered: a first policy does not stir up years. Others are routed with their
//     next message.
//   - rollouts in stages, SLA policies and simulations are left for later, on purpose.
package routing
