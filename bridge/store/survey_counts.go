package store

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// What is counted of a campaign, by arm (noArm where there is none): the names of
// survey_counts beside those of exits (survey.Exit), which are counted with the
// arm of the assignment.
const (
	countDelivered = "delivered" // questions that arrived; where a platform does not tell: that it took
	countFailed    = "failed"
	countAnswered  = "answered" // in time
	countCompleted = "completed"
	countLate      = "late"
	countOptedOut  = "optedOut"
	countCancelled = "cancelled"
	countExpired   = "expired"
	countClarified = "clarified"
	countUnparsed  = "unparsed"

	// countExpressionErrors are expressions of the audience that failed: no match.
	countExpressionErrors = "expressionErrors"

	// countScore and the score: answers in time, as they stand.
	countScore = "score/"

	// Questions whose time to answer is over, and those of them that were.
	countDue         = "due"
	countDueAnswered = "dueAnswered"

	// Contacts (conversations, where those are what is drawn) that were drawn to be
	// asked, by arm; with noArm those that are held out. And of them who came again
	// within survey.RepeatContactWindow, and who opted out.
	countContacts         = "contacts"
	countContactsReturned = "contactsReturned"
	countContactsOptedOut = "contactsOptedOut"
)

// noArm is for what is counted before there is an arm, and for the holdout.
const noArm = -1

// countKey is what a counter is of.
type countKey struct {
	campaign, name string
	arm            int
}

// countNote is one thing to count, or to take back.
type countNote struct {
	countKey
	n int64
}

// count notes something to count. Like the tally of queues it is written last, in
// one order, so that transactions that count the same things do not wait for each
// other in a ring, nor for long.
func (t *txn) count(campaign, name string, arm int, n int64) {
	t.counted = append(t.counted, countNote{countKey{campaign, name, arm}, n})
}

// countExit counts a decision, and takes back the deferral that went before it.
func (t *txn) countExit(campaign string, before *triggerRow, d survey.Decision) {
	if before.exit == survey.Deferred.String() {
		t.count(campaign, before.exit, before.arm, -1)
	}
	t.count(campaign, d.Exit.String(), armOf(d), 1)
}

// armOf is the arm that a decision is counted with.
func armOf(d survey.Decision) int {
	if d.Assigned && !d.Assignment.HeldOut {
		return d.Assignment.Arm
	}
	return noArm
}

// settleCounts writes what was noted. It is called once, when all functions of the
// transaction have run.
func (t *txn) settleCounts() error {
	if len(t.counted) == 0 {
		return nil
	}
	sums := map[countKey]int64{}
	for _, c := range t.counted {
		sums[c.countKey] += c.n
	}
	t.counted = t.counted[:0]
	keys := slices.SortedFunc(maps.Keys(sums), func(a, b countKey) int {
		return cmp.Or(strings.Compare(a.campaign, b.campaign), strings.Compare(a.name, b.name), cmp.Compare(a.arm, b.arm))
	})
	for _, k := range keys {
		if sums[k] == 0 {
			continue
		}
		if err := t.later(`INSERT INTO survey_counts (campaign, name, arm, n) VALUES (?, ?, ?, ?)
			ON CONFLICT (campaign, name, arm) DO UPDATE SET n = survey_counts.n + excluded.n`, k.campaign, k.name, k.arm, sums[k]); err != nil {
			return err
		}
	}
	return nil
}

// surveyCounts are a campaign's counters.
type surveyCounts map[countKey]int64

// readSurveyCounts reads the counters of a campaign.
func readSurveyCounts(ctx context.Context, q querier, campaign string) (surveyCounts, error) {
	counts := surveyCounts{}
	_, err := all(ctx, q, func(rows *sql.Rows) (struct{}, error) {
		k, n := countKey{campaign: campaign}, int64(0)
		err := rows.Scan(&k.name, &k.arm, &n)
		counts[k] = n
		return struct{}{}, err
	}, `SELECT name, arm, n FROM survey_counts WHERE campaign = ?`, campaign)
	return counts, err
}

// sum of a counter over all arms.
func (c surveyCounts) sum(name string) (n int) {
	for k, v := range c {
		if k.name == name {
			n += int(v)
		}
	}
	return n
}

// of is a counter of one arm.
func (c surveyCounts) of(name string, arm int) (n int) {
	for k, v := range c {
		if k.name == name && k.arm == arm {
			n += int(v)
		}
	}
	return n
}

// funnel is what became of the triggers and questions of a campaign.
func (c surveyCounts) funnel() survey.Funnel {
	var f survey.Funnel
	for _, exit := range survey.Exits() {
		f.Add(exit, c.sum(exit.String()))
	}
	for name, into := range map[string]*int{
		countDelivered: &f.Delivered, countFailed: &f.Failed, countAnswered: &f.Answered, countCompleted: &f.Completed, countLate: &f.Late,
		countOptedOut: &f.OptedOut, countCancelled: &f.Cancelled, countExpired: &f.Expired, countClarified: &f.Clarified, countUnparsed: &f.Unparsed,
	} {
		*into = c.sum(name)
	}
	return f
}

// scores are the answers in time by score.
func (c surveyCounts) scores() map[int]int {
	scores := map[int]int{}
	for k, n := range c {
		if text, ok := strings.CutPrefix(k.name, countScore); ok {
			if score, err := strconv.Atoi(text); err == nil {
				scores[score] += int(n)
			}
		}
	}
	return scores
}
