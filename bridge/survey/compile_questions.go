package survey

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/internal/expression"
	"github.com/bridgekeeper/bridgekeeper/bridge/routing"
)

// nameShape is that of names of arms, questions and actions: they become metric
// labels and column names.
var nameShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (c *compiler) name(field, name string, seen map[string]bool) {
	if !nameShape.MatchString(name) {
		c.invalid(field, "is %q; write lower-case letters, digits and hyphens, at most 63", name)
	} else if seen[name] {
		c.invalid(field, "%s is there twice", name)
	}
	seen[name] = true
}

// armed makes the arms; a campaign without arms gets one that has no name.
func (c *compiler) armed() {
	p := c.program
	if len(c.campaign.Arms) == 0 {
		p.arms, p.weights = []arm{{channels: c.campaign.Channels, delay: p.delay}}, []int{1}
		return
	}
	c.atMost("arms", len(c.campaign.Arms), MaxArms)
	if len(c.campaign.Arms) == 1 {
		c.invalid("arms", "has one arm; an experiment needs two, or leave arms out")
	}
	names := map[string]bool{}
	for i, spec := range c.campaign.Arms {
		field := at("arms", i)
		if names[spec.Name] && spec.Name != "" {
			c.report(ReasonOverlappingArms, field+".name", "two arms are called %s; their answers could not be told apart", spec.Name)
		} else {
			c.name(field+".name", spec.Name, names)
		}
		if spec.Weight < 1 || spec.Weight > routing.MaxWeight {
			c.invalid(field+".weight", "is %d; write 1 to %d", spec.Weight, routing.MaxWeight)
		}
		p.arms, p.weights = append(p.arms, c.arm(field, spec)), append(p.weights, spec.Weight)
	}
	for i := range p.arms {
		for j := range i {
			c.apart(i, j)
		}
	}
}

func (c *compiler) arm(field string, spec Arm) arm {
	made := arm{name: spec.Name, channels: spec.Channels, delay: c.program.delay, texts: spec.Texts}
	if len(spec.Channels) == 0 {
		made.channels = c.campaign.Channels
	}
	for i, name := range spec.Channels {
		if !slices.Contains(c.campaign.Channels, name) {
			c.invalid(at(field+".channels", i), "%s is not among channels; add it there", name)
		}
	}
	if spec.Delay != nil {
		c.duration(field+".delay", *spec.Delay)
		made.delay = time.Duration(*spec.Delay)
		for _, name := range made.channels {
			channel := c.refs.Channels[name]
			if channel.CanSend && channel.Window > 0 && !channel.Template && made.delay >= channel.Window && c.program.delay < channel.Window {
				c.report(ReasonChannelCannotAsk, field+".delay", "%s lets nobody be written to %s after their last message (Channel %s); make it shorter, or have a template approved", channel.Platform, channel.Window, name)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(spec.Texts)) {
		if !slices.ContainsFunc(c.campaign.Questions, func(q Question) bool { return q.ID == id }) {
			c.invalid(field+".texts."+id, "there is no question %s", id)
		}
		c.texts(field+".texts."+id, spec.Texts[id])
	}
	return made
}

// apart checks that a difference between two arms can be seen and attributed. Arms
// that ask alike differ in what another system does by the assignment (it offers a
// channel to one of them): such a system, and nobody else, triggers the campaign.
func (c *compiler) apart(i, j int) {
	a, b := c.program.arms[i], c.program.arms[j]
	shared := 0
	for _, name := range a.channels {
		if slices.Contains(b.channels, name) {
			shared++
		}
	}
	same := shared == len(a.channels) && shared == len(b.channels)
	switch {
	case shared > 0 && !same:
		c.report(ReasonOverlappingArms, at("arms", i)+".channels", "shares some channels with arm %s and not others, so a difference could not be attributed; give them the same or none in common", b.name)
	case same && !slices.Equal(c.campaign.Trigger.Events, []TriggerEvent{API}) && a.delay == b.delay && maps.EqualFunc(a.texts, b.texts, func(s, t Texts) bool { return maps.Equal(s, t) }):
		c.report(ReasonOverlappingArms, at("arms", i), "asks exactly as arm %s does; change its channels, delay or texts (arms that differ in what another system does need API as the only trigger event)", b.name)
	}
}

// texts checks that a text is there in every offered language.
func (c *compiler) texts(field string, texts Texts) {
	var missing []string
	for _, tag := range c.campaign.Languages.Offered {
		if strings.TrimSpace(texts[tag]) == "" {
			missing = append(missing, tag)
		}
	}
	if len(missing) > 0 {
		c.report(ReasonMissingTranslation, field, "has no text in %s; write it, or take it out of languages.offered", strings.Join(missing, ", "))
	}
	for _, tag := range slices.Sorted(maps.Keys(texts)) {
		if !slices.Contains(c.campaign.Languages.Offered, tag) {
			c.invalid(field+"."+tag, "is not among languages.offered; nobody would read it")
		}
		if len(texts[tag]) > MaxTextBytes {
			c.invalid(field+"."+tag, "is %d bytes long; %d is the most", len(texts[tag]), MaxTextBytes)
		}
	}
}

func (c *compiler) questionList() {
	list := c.campaign.Questions
	c.atMost("questions", len(list), MaxQuestions)
	scores := 0
	names := map[string]bool{}
	for i := range list {
		spec, field := &list[i], at("questions", i)
		c.name(field+".id", spec.ID, names)
		c.texts(field+".text", spec.Text)
		made := question{spec: spec, maxChars: spec.MaxChars}
		switch spec.Kind {
		case ScoreQuestion:
			if scores++; scores > 1 || i > 0 {
				c.invalid(field+".kind", "is Score; exactly the first question is")
			}
			if spec.When != "" {
				c.invalid(field+".when", "the score is always asked; leave it out")
			}
		case TextQuestion:
			made.when = c.condition(field+".when", spec.When)
		default:
			c.invalid(field+".kind", "is %q; write Score or Text", spec.Kind)
		}
		if spec.MaxChars < 0 || spec.MaxChars > MaxTextBytes {
			c.invalid(field+".maxChars", "is %d; write up to %d", spec.MaxChars, MaxTextBytes)
		}
		if made.maxChars == 0 {
			made.maxChars = DefaultMaxChars
		}
		c.program.questions = append(c.program.questions, made)
	}
	if scores == 0 {
		c.report(ReasonNoScoreQuestion, "questions", "none has kind: Score; that is the one that makes an answer count")
	}
}

// condition compiles an expression over answers; nil: always.
func (c *compiler) condition(field, source string) *expression.Expression {
	if source == "" {
		return nil
	}
	expr, err := answerEnvironment.Compile(source)
	if err != nil {
		c.report(ReasonInvalidExpression, field, "%v", err)
	}
	return expr
}

func (c *compiler) replies() {
	r := &c.campaign.Replies
	c.duration("replies.window", r.Window)
	c.duration("replies.lateWindow", r.LateWindow)
	c.duration("replies.editWindow", r.EditWindow)
	c.duration("replies.commentWindow", r.CommentWindow)
	setDefault(&r.Window, DefaultReplyWindow)
	setDefault(&r.LateWindow, DefaultLateWindow)
	setDefault(&r.EditWindow, DefaultEditWindow)
	setDefault(&r.CommentWindow, DefaultCommentWindow)
	if r.EditWindow > r.Window {
		c.invalid("replies.editWindow", "is longer than replies.window")
	}
	if len(r.Clarify) > 0 {
		c.texts("replies.clarify", r.Clarify)
	}
}

func (c *compiler) reminders() {
	r := c.campaign.Reminders
	if r.Count < 0 || r.Count > MaxReminders {
		c.invalid("reminders.count", "is %d; write 0 to %d", r.Count, MaxReminders)
		return
	}
	c.duration("reminders.after", r.After)
	if r.Count == 0 {
		return
	}
	if r.After <= 0 {
		c.invalid("reminders.after", "is 0; write how long to wait, like 24h")
	} else if time.Duration(r.After)*time.Duration(r.Count) >= time.Duration(c.campaign.Replies.Window) {
		c.invalid("reminders.after", "%d reminders every %s would come after replies.window (%s)", r.Count, time.Duration(r.After), time.Duration(c.campaign.Replies.Window))
	}
	if len(r.Text) > 0 {
		c.texts("reminders.text", r.Text)
	}
}

func (c *compiler) thanks() {
	for i, t := range c.campaign.Thanks {
		field := at("thanks", i)
		if t.From > t.To || !c.program.scale.Contains(t.From) || !c.program.scale.Contains(t.To) {
			c.invalid(field, "is for %d to %d; write scores within %d to %d", t.From, t.To, c.program.scale.Min, c.program.scale.Max)
		}
		for j, other := range c.campaign.Thanks[:i] {
			if t.From <= other.To && other.From <= t.To {
				c.invalid(field, "shares scores with thanks[%d]", j)
			}
		}
		c.texts(field+".text", t.Text)
	}
}

func (c *compiler) actionList() {
	c.atMost("actions", len(c.campaign.Actions), MaxActions)
	names := map[string]bool{}
	for i := range c.campaign.Actions {
		spec, field := &c.campaign.Actions[i], at("actions", i)
		c.name(field+".name", spec.Name, names)
		oneOf(c, field+".do", &spec.Do, OpenConversation)
		c.duration(field+".within", spec.Within)
		if !c.refs.Queues[spec.Queue] {
			c.report(ReasonQueueNotFound, field+".queue", "AgentQueue %q does not exist in this store", spec.Queue)
		}
		c.program.actions = append(c.program.actions, action{spec: spec, when: c.condition(field+".when", spec.When)})
	}
}

func (c *compiler) stop() {
	s := c.campaign.Stop
	if s.MaxResponses < 0 {
		c.invalid("stop.maxResponses", "is %d; write 1 or more, or leave it out", s.MaxResponses)
	}
	if s.HalfWidth < 0 || s.HalfWidth > 100 {
		c.invalid("stop.halfWidth", "is %g points; write up to 100, like 5", s.HalfWidth)
	}
	if s.FloorResponseRate != "" {
		c.program.floor = c.percent("stop.floorResponseRate", s.FloorResponseRate)
	}
}

func (c *compiler) analysis() {
	a := &c.campaign.Analysis
	if a.Confidence == 0 {
		a.Confidence = DefaultConfidence
	}
	if a.Confidence != 90 && a.Confidence != 95 && a.Confidence != 99 {
		c.invalid("analysis.confidence", "is %d; write 90, 95 or 99", a.Confidence)
	}
	if a.MinPerGroup == 0 {
		a.MinPerGroup = DefaultMinPerGroup
	}
	if a.MinPerGroup < smallestCell {
		c.invalid("analysis.minPerGroup", "is %d; write at least %d", a.MinPerGroup, smallestCell)
	}
	oneOf(c, "analysis.compare", &a.Compare, CompareNone, CompareArms, CompareHoldout, CompareBeforeAfter, CompareDifferences)
	oneOf(c, "analysis.metric", &a.Metric, MetricScore, MetricRepeatContact30d, MetricOptOut)
	arms := len(c.campaign.Arms)
	if (a.Compare == CompareArms || a.Compare == CompareDifferences) && arms < 2 {
		c.invalid("analysis.compare", "is %s, and there are no arms to compare", a.Compare)
	}
	if arms > 0 && a.Baseline == "" {
		a.Baseline = c.campaign.Arms[arms-1].Name
	}
	if a.Baseline != "" && !slices.ContainsFunc(c.campaign.Arms, func(arm Arm) bool { return arm.Name == a.Baseline }) {
		c.invalid("analysis.baseline", "there is no arm %s", a.Baseline)
	}
	if a.Compare == CompareHoldout && c.program.holdSlots == 0 {
		c.invalid("analysis.compare", "is Holdout, and holdout.fraction is empty")
	}
	if a.Compare == CompareHoldout && a.Metric == MetricScore {
		c.invalid("analysis.metric", "is Score; who is held out gives none, compare RepeatContact30d or OptOut")
	}
	if a.Compare != CompareHoldout && a.Compare != CompareArms && a.Metric != MetricScore {
		c.invalid("analysis.metric", "is %s; before and after are compared by score", a.Metric)
	}
	timed := a.Compare == CompareBeforeAfter || a.Compare == CompareDifferences
	if inside := a.ChangedAt.After(c.campaign.Window.Start) && a.ChangedAt.Before(c.campaign.Window.End); timed && !inside {
		c.invalid("analysis.changedAt", "has to be within the window: it divides before from after")
	}
}
