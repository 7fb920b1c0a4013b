package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// responsePage is how many responses are read at once: who downloads them may be
// slow, and holds no transaction up.
const responsePage = 5000

// fewestAlike is how many responses have in common what is told of each of them
// without naming anybody; the same number as in reports.
const fewestAlike = 5

const selectResponses = `SELECT r.dialogue, r.asked_at, r.at, r.score, r.late, r.completed, r.arm, r.channel, r.language,
	COALESCE(a.contact, ''), COALESCE(a.conversation, ''), COALESCE(a.comment, ''), COALESCE(a.answers, '')
	FROM survey_responses r LEFT JOIN survey_answers a ON a.dialogue = r.dialogue
	WHERE r.campaign = ? AND r.dialogue > ? ORDER BY r.dialogue LIMIT ?`

// responseRow is a response, and the words of who gave it, where they are kept.
type responseRow struct {
	SurveyResponse
	arm     int
	answers string
}

func scanResponse(rows *sql.Rows) (r responseRow, err error) {
	var asked, at, late, completed int64
	if err := rows.Scan(&r.ID, &asked, &at, &r.Score, &late, &completed, &r.arm, &r.Channel, &r.Language, &r.Contact, &r.Conversation, &r.Comment, &r.answers); err != nil {
		return r, err
	}
	r.AskedAt, r.AnsweredAt, r.Late, r.Completed = fromMS(asked), fromMS(at), late == 1, completed == 1
	return r, unmarshalSome(r.answers, &r.Answers)
}

// SurveyResponses goes through the responses of a campaign.
func (s *Store) SurveyResponses(ctx context.Context, scope Scope, name string, personal bool, each func(SurveyResponse) error) error {
	c, err := s.campaign(ctx, scope, name)
	if err != nil {
		return err
	}
	p, err := s.surveyProgram(c)
	if err != nil {
		return err
	}
	if !personal {
		return s.anonymousResponses(ctx, c.name, p.Arms(), each)
	}
	return s.responses(ctx, c.name, p.Arms(), each)
}

// responses goes through them in the order of asking, as they are.
func (s *Store) responses(ctx context.Context, campaign string, arms []string, each func(SurveyResponse) error) error {
	for after := ""; ; {
		page, err := all(ctx, s.read, scanResponse, selectResponses, campaign, after, responsePage)
		if err != nil {
			return err
		}
		for i := range page {
			r := &page[i]
			if r.arm >= 0 && r.arm < len(arms) {
				r.Arm = arms[r.arm]
			}
			if err := each(r.SurveyResponse); err != nil {
				return err
			}
		}
		if len(page) < responsePage {
			return nil
		}
		after = page[len(page)-1].ID
	}
}

// anonymousResponses tells what responses have in common with enough others, how
// often each: ordered by that, since the order of asking would tell the days that
// are left out. Of a million responses there are some ten thousand different ones.
func (s *Store) anonymousResponses(ctx context.Context, campaign string, arms []string, each func(SurveyResponse) error) error {
	alike, err := s.alike(ctx, campaign)
	if err != nil || alike.total < fewestAlike {
		return err
	}
	times := map[anonymousResponse]int{}
	if err := s.responses(ctx, campaign, arms, func(r SurveyResponse) error {
		times[alike.anonymous(r)]++
		return nil
	}); err != nil {
		return err
	}
	for _, r := range slices.SortedFunc(maps.Keys(times), anonymousResponse.compare) {
		for range times[r] {
			if err := each(r.response()); err != nil {
				return err
			}
		}
	}
	return nil
}

// anonymousResponse is what of a response is nobody's. day is -1 where it is left out.
type anonymousResponse struct {
	day                    int64
	score                  int
	arm, channel, language string
	late, completed        bool
}

func (r anonymousResponse) compare(o anonymousResponse) int {
	hidden := func(day int64) int { return boolRank(day < 0) }
	return cmp.Or(hidden(r.day)-hidden(o.day), cmp.Compare(r.day, o.day), strings.Compare(r.channel, o.channel), strings.Compare(r.language, o.language),
		strings.Compare(r.arm, o.arm), r.score-o.score, boolRank(r.late)-boolRank(o.late), boolRank(r.completed)-boolRank(o.completed))
}

func boolRank(b bool) int { return int(boolInt(b)) }

func (r anonymousResponse) response() SurveyResponse {
	out := SurveyResponse{Score: r.score, Late: r.late, Completed: r.completed, Arm: r.arm, Channel: r.channel, Language: r.language}
	if r.day >= 0 {
		out.AnsweredAt = time.UnixMilli(r.day * (24 * time.Hour).Milliseconds()).UTC()
	}
	return out
}

// alike is how many responses there are, and how many have a day, and a channel with
// a language.
type alike struct {
	total  int
	days   map[int64]int
	places map[[2]string]int
}

// day of a time in milliseconds since 1970, UTC.
func dayOf(at int64) int64 { return at / (24 * time.Hour).Milliseconds() }

// alike counts what responses have in common. They are grouped by the database: of
// a million there are some thousand groups.
func (s *Store) alike(ctx context.Context, campaign string) (*alike, error) {
	a := &alike{days: map[int64]int{}, places: map[[2]string]int{}}
	_, err := all(ctx, s.read, func(rows *sql.Rows) (struct{}, error) {
		var day int64
		var place [2]string
		var n int
		err := rows.Scan(&day, &place[0], &place[1], &n)
		a.total += n
		a.days[day] += n
		a.places[place] += n
		return struct{}{}, err
	}, fmt.Sprintf(`SELECT at / %d AS day, channel, language, COUNT(*) FROM survey_responses WHERE campaign = ? GROUP BY 1, 2, 3`, (24*time.Hour).Milliseconds()), campaign)
	return a, err
}

// anonymous is a response without what fewer than five have in common.
func (a *alike) anonymous(r SurveyResponse) anonymousResponse {
	out := anonymousResponse{day: -1, score: r.Score, late: r.Late, completed: r.Completed, arm: r.Arm}
	if day := dayOf(ms(r.AnsweredAt)); a.days[day] >= fewestAlike {
		out.day = day
	}
	if a.places[[2]string{r.Channel, r.Language}] >= fewestAlike {
		out.channel, out.language = r.Channel, r.Language
	}
	return out
}
