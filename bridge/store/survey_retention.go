package store

import (
	"context"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
)

// surveyRows removes what surveys know of people once it is as old as messages may
// be: triggers that are decided, dialogues that are over, and whose scores are with
// their words. Scores and counts say nothing of anybody and stay, as does the
// ledger, which knows contacts by a hash: who was asked is not asked again too soon.
func (w *sweeper) surveyRows(ctx context.Context, keep document.Retention) error {
	h := w.horizon(keep.Messages)
	if h.IsZero() {
		return nil
	}
	limit := idBefore(h)
	for _, table := range []struct{ name, key, over string }{
		{"survey_triggers", "id", "due_at = 0"},
		{"survey_dialogues", "id", "open = 0 AND next_at = 0"},
		{"survey_answers", "dialogue", "1 = 1"},
	} {
		var n int
		if _, err := one(ctx, w.s.read, []any{&n}, `SELECT COUNT(*) FROM (SELECT 1 FROM `+table.name+` WHERE `+table.key+` < ? AND `+table.over+` LIMIT 1) AS few`, limit); err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		query := `DELETE FROM ` + table.name + ` WHERE ` + table.key + ` IN (SELECT ` + table.key + ` FROM ` + table.name + ` WHERE ` + table.key + ` < ? AND ` + table.over + ` ORDER BY ` + table.key + ` LIMIT ?)`
		if err := w.batches(ctx, table.name, func(t *txn) (int64, error) { return t.exec(query, limit, sweepBatch) }); err != nil {
			return err
		}
	}
	return nil
}
