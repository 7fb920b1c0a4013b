package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// madeReport is a report with what it was made of.
type madeReport struct {
	program *survey.Program
	report  survey.Report
	counted string // digest of the counts
	at      time.Time
	took    time.Duration
}

const (
	// reportAge is how old a report may be that is told as of now.
	reportAge = 2 * time.Second
	// reportShare bounds what asking again and again costs: at most a tenth of a
	// processor for each campaign.
	reportShare = 10
)

// reports makes reports, each once for all who ask at the same time.
type reports struct {
	mu   sync.Mutex
	kept map[string]*keptReport // by campaign
}

type keptReport struct {
	mu   sync.Mutex // held while it is made
	made *madeReport
}

func (r *reports) of(ctx context.Context, s *Store, c *campaignRow) (*madeReport, error) {
	r.mu.Lock()
	if r.kept == nil {
		r.kept = map[string]*keptReport{}
	}
	k := r.kept[c.name]
	if k == nil {
		k = &keptReport{}
		r.kept[c.name] = k
	}
	r.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	if m := k.made; m != nil && m.at.Add(max(reportAge, reportShare*m.took)).After(s.now()) && !m.at.After(s.now()) {
		return m, nil
	}
	began := time.Now()
	made, err := s.makeReport(ctx, c)
	if err != nil {
		return nil, err
	}
	made.took = time.Since(began)
	k.made = made
	return made, nil
}

// makeReport goes through a campaign's scores, as they are at one moment.
func (s *Store) makeReport(ctx context.Context, c *campaignRow) (*madeReport, error) {
	p, err := s.surveyProgram(c)
	if err != nil {
		return nil, err
	}
	made := &madeReport{program: p, at: s.now()}
	err = s.snapshot(ctx, func(within context.Context, q querier) error {
		counts, err := readSurveyCounts(within, q, c.name)
		if err != nil {
			return err
		}
		rows := readScores(within, q, c.name)
		made.counted = counts.digest()
		made.report = survey.Aggregate(p, survey.Data{
			Now: made.at, Stopped: c.ended > 0, Funnel: counts.funnel(), Arms: counts.arms(p), Drawn: counts.drawn(), Outcomes: counts.outcomes(p), Rows: rows.all(),
		})
		return rows.err
	})
	return made, err
}

// snapshot reads what is committed at one moment: counts and scores that belong
// together.
func (s *Store) snapshot(ctx context.Context, read func(within context.Context, q querier) error) error {
	within, cancel := s.db.bounded(ctx)
	defer cancel()
	options := &sql.TxOptions{ReadOnly: true}
	if s.db.postgres != nil {
		options.Isolation = sql.LevelRepeatableRead // SQLite has no other
	}
	tx, err := s.db.reader.BeginTx(within, options)
	if err != nil {
		return late(ctx, s.db.classify(err))
	}
	defer tx.Rollback() //nolint:errcheck // it has written nothing
	return late(ctx, read(within, &quietReader{reader: s.read, tx: tx}))
}

// scores are a campaign's scores, read as they are gone through: there may be
// millions.
type scores struct {
	ctx      context.Context //nolint:containedctx // of one reading
	q        querier
	campaign string
	err      error
}

func readScores(ctx context.Context, q querier, campaign string) *scores {
	return &scores{ctx: ctx, q: q, campaign: campaign}
}

// selectScores has the numbers of a score in one, since most of the time of
// reading a row is that of its columns: the second in the high bits, then
// answered, asked (8 bits each), arm, score (4 each), late, completed. A time in
// seconds is below 2^35 for a thousand years. The time of asking is another number.
const selectScores = `SELECT (at / 1000) * 67108864 + answered * 262144 + asked * 1024 + arm * 64 + score * 4 + late * 2 + completed, asked_at, channel, language
	FROM survey_responses WHERE campaign = ?`

func unpackScore(packed int64, row *survey.Row) {
	row.At = time.Unix(packed>>26, 0)
	row.Answered, row.Asked = uint8(packed>>18), uint8(packed>>10)
	row.Arm, row.Score = int(packed>>6&15), int(packed>>2&15)
	row.Late, row.Completed = packed&2 != 0, packed&1 != 0
}

// all goes through the scores; what stopped it is in err.
func (r *scores) all() iter.Seq[survey.Row] {
	return func(yield func(survey.Row) bool) {
		rows, err := r.q.rows(r.ctx, selectScores, r.campaign)
		if err != nil {
			r.err = err
			return
		}
		defer rows.Close()
		var row survey.Row
		var packed, asked int64
		var channel, language sql.RawBytes // no copy for each: there are few different ones
		names := map[string]string{}
		for rows.Next() {
			if r.err = rows.Scan(&packed, &asked, &channel, &language); r.err != nil {
				return
			}
			unpackScore(packed, &row)
			row.AskedAt = fromMS(asked)
			row.Channel, row.Language = same(names, channel), same(names, language)
			if !yield(row) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			r.err = r.q.fail(err)
		}
	}
}

// same is the one string of a text.
func same(names map[string]string, text []byte) string {
	if name, ok := names[string(text)]; ok { // does not allocate
		return name
	}
	name := string(text)
	names[name] = name
	return name
}

// arms are what a report says of arms; those of a campaign without an experiment
// are none.
func (c surveyCounts) arms(p *survey.Program) []survey.ArmCounts {
	arms := make([]survey.ArmCounts, len(p.Arms()))
	for i := range arms {
		arms[i] = survey.ArmCounts{Assigned: c.of(countContacts, i), Asked: c.of(survey.Asked.String(), i), Answered: c.of(countAnswered, i)}
	}
	return arms
}

// drawn are the contacts that were drawn to be asked, whatever arm, and to be held out.
func (c surveyCounts) drawn() *survey.Drawn {
	held := c.of(countContacts, noArm)
	return &survey.Drawn{Asked: c.sum(countContacts) - held, HeldOut: held}
}

// outcomes are what contacts did: of each arm, of all that were to be asked, of
// those that are held out.
func (c surveyCounts) outcomes(p *survey.Program) []survey.Outcome {
	var list []survey.Outcome
	for metric, name := range map[survey.Metric]string{survey.MetricRepeatContact30d: countContactsReturned, survey.MetricOptOut: countContactsOptedOut} {
		of := func(group string, arm int) survey.Outcome {
			return survey.Outcome{Metric: metric, Group: group, N: c.of(countContacts, arm), Happened: c.of(name, arm)}
		}
		held := of(survey.GroupHoldout, noArm)
		asked := survey.Outcome{Metric: metric, Group: survey.GroupAsked, N: c.sum(countContacts) - held.N, Happened: c.sum(name) - held.Happened}
		list = append(list, held, asked)
		for i, arm := range p.Arms() {
			list = append(list, of(arm, i))
		}
	}
	return list
}

// digest tells counts from others: where it is the same, so is what they count.
func (c surveyCounts) digest() string {
	keys := slices.SortedFunc(maps.Keys(c), func(a, b countKey) int { return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.arm, b.arm)) })
	h := sha256.New()
	for _, k := range keys {
		fmt.Fprintf(h, "%s %d %d\n", k.name, k.arm, c[k])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
