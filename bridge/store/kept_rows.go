package store

// Rows that are kept back. What a decision of routing or a queue writes is one row
// in each of several tables, for every conversation. The rows are kept back, and
// those of a table written by one statement, before the next statement of any
// other kind runs, or at the end: nothing can tell the difference. See later, which
// keeps whole statements back.

// keptRows are the rows of one bulk.
type keptRows struct {
	bulk *bulk
	rows [][]any
	at   map[string]int // where the row of a key is
}

// maxKept bounds the rows of a table that are kept back: as many as a batch of
// messages can bring.
const maxKept = maxBatchWeight

// row keeps a row back. A bulk that changes rows, or inserts over them, names the
// key of its row, and always writes the same columns: a later row of that key takes
// the place of the one before. The key is empty where rows are only inserted.
func (t *txn) row(b *bulk, key string, values ...any) error {
	if err := t.settleMessages(); err != nil {
		return err
	}
	t.wrote = true
	var k *keptRows
	for _, have := range t.kept {
		if have.bulk == b {
			k = have
		}
	}
	if k == nil {
		k = &keptRows{bulk: b, at: map[string]int{}}
		t.kept = append(t.kept, k)
	}
	if i, ok := k.at[key]; ok && key != "" {
		k.rows[i] = values
		return nil
	}
	if key != "" {
		k.at[key] = len(k.rows)
	}
	if k.rows = append(k.rows, values); len(k.rows) >= maxKept {
		return t.writeRows()
	}
	return nil
}

// writeRows writes what was kept back.
func (t *txn) writeRows() error {
	if len(t.kept) == 0 {
		return nil
	}
	kept := t.kept
	t.kept = nil // writing them are statements, too
	for _, k := range kept {
		if err := t.bulk(k.bulk, k.rows); err != nil {
			return err
		}
	}
	return nil
}
