package routing

// trace is what a replay writes down. All of its methods do nothing on nil, which
// is what Decide passes: so the code that decides and the code that explains is one.
type trace struct {
	notReturned returnCode
	rules       []ruleTrace
	steps       []stepTrace
	usedUp      bool // the steps of the rule
	replies     []ReplyKind
	stickyCode  stickyCode
	stickySeen  bool
}

type ruleTrace struct {
	rule   *rule
	always bool // it has no matches
	fields []matchField
	errs   []error
}

type stepTrace struct {
	step   *step
	slot   int
	index  int
	code   stepCode
	sticky stickyCode
	asked  bool // sticky was
}

func (t *trace) rule(r *rule, always bool) {
	if t != nil {
		t.rules = append(t.rules, ruleTrace{rule: r, always: always})
	}
}

func (t *trace) match(field matchField, err error) {
	if t == nil {
		return
	}
	if field != fieldExpression {
		err = nil
	}
	last := &t.rules[len(t.rules)-1]
	last.fields, last.errs = append(last.fields, field), append(last.errs, err)
}

func (t *trace) sticky(code stickyCode) {
	if t != nil {
		t.stickyCode, t.stickySeen = code, true
	}
}

func (t *trace) step(st *step, slot, index int, code stepCode) {
	if t == nil {
		return
	}
	t.steps = append(t.steps, stepTrace{step: st, slot: slot, index: index, code: code, sticky: t.stickyCode, asked: t.stickySeen})
	t.stickySeen = false
}

func (t *trace) exhausted() {
	if t != nil {
		t.usedUp = true
	}
}

func (t *trace) spared(kind ReplyKind) {
	if t != nil {
		t.replies = append(t.replies, kind)
	}
}
