// Package survey decides whom a campaign asks, reads what they answer, leads the
// short dialogue around it, and says what the answers mean. All of it is pure:
// it knows no store, no clock and no Kubernetes, and every decision can be
// replayed from the facts that were kept.
//
//	Campaign ──Compile──► *Program, or findings that name the field
//	                         │
//	trigger ─► facts ─► Decide ─► Asked ─► Start ─► dialogue ◄── Step ◄── messages, timers,
//	                     │  │                        │  │               agents, events
//	           exits ◄───┘  └─► Deferred: again      │  └─► effects: say, consume or route,
//	             │               at Until            │      score, opt out, act
//	             ▼                                   ▼
//	          Funnel ─────────────► Aggregate ◄── rows (scores, with their attribution)
//	          (adds up)                 │
//	                                    ▼
//	                      Report: result, arms, comparison, funnel ──► package report (HTML)
//
// # Whom to ask
//
// Decide goes through one fixed order; each way out is an Exit that is counted, so
// that the Funnel always adds up. Draws (holdout, arm, sample) are made by
// routing.Slot before any throttling, so that groups are compared as they were
// assigned. Two clocks run from a ledger: since this campaign asked, and since any
// of its group did.
//
// # What a reply means
//
// ReadScore takes a text for a score only if it says one and nothing against it:
// what stands right after the number decides. Complaints name goods and hours and
// praise does not, so what clearly tells of an experience is read like praise, and
// what may be either is asked back about; otherwise the low scores would be missing.
// A score never reopens a conversation or wakes a bot (EffectConsume); anything
// that is not one goes where it would go without a survey (EffectRoute), and the
// survey stays open. While the survey's question is the last thing said in the
// thread, a text is read; once anybody else has said something (a bot, a person, the
// contact with another matter), only presses of its buttons and what quotes it are,
// until it asks again. Nobody is asked into a conversation that is not solved
// (ConversationOpen); of one that is opened later, a text is for people, too. A
// question that never arrived takes no answers.
//
// # What the answers mean
//
// Nothing is published without its n, its interval and its denominator; no count of
// one to four people, of answers, in the funnel or in a comparison, nor one that with
// others gives such a count as a difference (Funnel.Published); no data is NaN (in JSON null), never
// 0. A verdict is given once, at the end, by the comparison that was declared before
// the start (Declared), with no p-value before, and withheld when arms or holdout do not have the sizes that
// were drawn. Formulas stand with their sources at the functions; the tests hold them
// against published values.
//
// # What a survey cannot tell
//
// Declared holds the analysis and the draws, not all that a result depends on. Window
// and stop rules may change after the start: an end that is moved until a difference
// shows finds it where there is none. A run is of one resource: an object that is made
// anew, as in a cluster rebuilt from its manifests, measures from the beginning.
// Numbers that are published can be worked back: in a small result Value, Low, High and
// N give the cells that are hidden, two reports give the answer between them, and the
// columns of a response are unusual together though each is common. RepeatContact30d
// counts every conversation that a contact opens again, also by a reply to the question
// that was no score, which those held out cannot give. Before and after may have been
// asked with other texts, on other channels, of other people: Observational says that
// time has changed more than was meant to, not what. Reach is known of questions by
// funnel, not of contacts by arm: who was asked several times may hide who never was.
//
// # Where this departs from the sketch
//
// The sketch is section 2.4 of the research on routing and surveys.
//
//   - The funnel's sampled is what the throttles take from, as the order of
//     decisions has it; in the sketch's numbers it was the other way round.
//   - There is no nonScore: Ignore (a non-score is never swallowed), no looks: n (one
//     look, at the end; the interval before it describes and decides nothing) and no
//     parse options (what is safe to read is always read).
//   - A delay, a cool-down, quiet times and another open survey all wait within one
//     bound, trigger.maxDefer, instead of one each.
//   - Actions follow a score when it can no longer be edited, not at once.
//   - thanks go by ranges of scores, so that they suit all three types.
//   - Two arms that ask in the same way, or that share some channels and not others,
//     are OverlappingArms: their difference could not be seen, or not be attributed.
//     Where API alone triggers the campaign they may ask alike: another system acts by
//     the assignment.
//   - Arms that reached different shares of those drawn, or, on channels of their own,
//     not nearly all, get no verdict (ReachDiffers).
//   - Contacts become one: of two draws the one by which they were asked holds; who was
//     asked in two arms leaves the comparison for good (JoinDraws).
//   - A campaign whose delay outlasts a channel's messaging window, with no approved
//     template, is ChannelCannotAsk: it would skip everybody, silently.
//   - Cells of 0 are shown: they are about nobody. Cells of 1 to 4 are not, nor those
//     that would give them as a difference. How many have not answered (yet) is not such a cell.
//   - Behind a score and a separator a comment needs a word of praise or complaint, or
//     some length: "9, Uhr" and "2, please" have the same shape as "9, great service".
//   - Sampling, holdout and arms are fixed with the analysis: kept draws of two rates
//     would be a mixture, and an arm that changes is two treatments.
//   - Trends before a change are not compared, so a difference in differences is always
//     Observational and AssumesParallelTrends.
//   - Every answer counts, also a second one of the same contact; Report.MayRepeat says
//     where that can be, since intervals take answers for independent. One answer each
//     is oncePer: Contact, or a cool-down as long as the window.
//   - Choices are buttons or quick replies: messages have no lists. Where a platform has
//     too few of both for the scale, the text asks for the number.
//   - Redaction of answers, and the group cap over all proactive messages, belong to
//     the store, which sees both.
package survey
