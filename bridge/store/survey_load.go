package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/schedule"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

// campaigns are what the document in force says about surveys. They never change.
type campaigns struct {
	byName map[string]*campaignEntry // "namespace/name"
	// resolved are those that ask after a conversation was solved, by the namespaces
	// of their channels.
	resolved map[string][]*campaignEntry
	// named are the entries of the document, also those that could not be loaded: a
	// campaign that is not named here is gone.
	named map[string]bool
}

// campaignEntry is a campaign with its program. fingerprint is of everything that
// the program was made of: while it stays the same, so does the program.
type campaignEntry struct {
	program           *survey.Program
	spec              string // JSON
	hash, fingerprint string
}

// namespaces whose contacts a campaign asks: those of its channels.
func (c *campaignEntry) namespaces() map[string]bool {
	names := map[string]bool{}
	for _, channel := range c.program.Campaign.Channels {
		names[namespaceOf(channel)] = true
	}
	return names
}

func newCampaigns() *campaigns {
	return &campaigns{byName: map[string]*campaignEntry{}, resolved: map[string][]*campaignEntry{}, named: map[string]bool{}}
}

// begunCampaign is what the database knows of a run that has asked somebody.
type begunCampaign struct {
	run, spec, analysis string
	removed             bool
}

// campaignPast is what a campaign is compiled by beside the document.
type campaignPast struct {
	now  time.Time
	caps map[string]platform.Capabilities
	// begun are the latest runs, by campaign, of those that have begun, with the
	// analysis (JSON) that they started with; nil where they could not be read: then
	// none is refused for what it did before.
	begun map[string]begunCampaign
}

// campaignPast reads what was before. Without the database the document is loaded
// all the same.
func (s *Store) campaignPast(ctx context.Context, doc *document.Document) campaignPast {
	past := campaignPast{now: s.now(), caps: s.opts.Capabilities}
	if !slices.ContainsFunc(doc.Entries, func(e document.Entry) bool { return e.Kind == document.EntrySurveyCampaign }) {
		return past
	}
	list, err := all(ctx, s.read, func(rows *sql.Rows) (b begunCampaign, err error) {
		var removedAt int64
		err = rows.Scan(&b.run, &b.spec, &b.analysis, &removedAt)
		b.removed = removedAt > 0
		return b, err
	}, `SELECT campaign, spec, analysis, removed_at FROM survey_campaigns`)
	if err != nil {
		s.log.Warn("which survey campaigns have begun could not be read; changes of their analysis are not noticed before the next document", "err", err)
		return past
	}
	past.begun = map[string]begunCampaign{}
	for _, b := range list {
		name, number := splitRun(b.run)
		if before, ok := past.begun[name]; ok {
			if _, n := splitRun(before.run); n > number {
				continue
			}
		}
		past.begun[name] = b
	}
	return past
}

// compileCampaigns makes programs of the campaigns, once all they refer to is known.
func (l *loader) compileCampaigns() {
	for _, e := range l.campaigns {
		l.next.surveys.named[e.Name] = true
		if running, err := l.campaign(e); err != nil {
			l.except(e, running, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.next.surveys.byName)) {
		c := l.next.surveys.byName[name]
		if !slices.Contains(c.program.Campaign.Trigger.Events, survey.ConversationResolved) {
			continue
		}
		for ns := range c.namespaces() {
			l.next.surveys.resolved[ns] = append(l.next.surveys.resolved[ns], c)
		}
	}
}

func (l *loader) campaign(e document.Entry) (running string, err error) {
	old := l.old.surveys.byName[e.Name]
	spec, err := decodeSpec[survey.Campaign](e.Spec)
	if err == nil {
		refs, fingerprint := l.next.surveyRefs(&spec, l.past)
		// The operator judges the window when a campaign is new; one that is over is
		// still here so that late answers are read, also if it never asked anybody.
		refs.Started = true
		fingerprint = e.Hash + fingerprint
		if old != nil && old.fingerprint == fingerprint {
			l.next.surveys.byName[e.Name] = old
			return "", nil
		}
		program, found := survey.Compile(e.Name, spec, refs)
		if program != nil {
			if err = l.past.sameDeclared(program); err == nil {
				l.next.surveys.byName[e.Name] = &campaignEntry{program: program, spec: string(e.Spec), hash: e.Hash, fingerprint: fingerprint}
				return "", nil
			}
		} else {
			err = &FieldError{Field: found[0].Field, Message: string(found[0].Reason) + ": " + found[0].Message}
		}
	}
	return l.keepCampaign(e.Name), err
}

// keepCampaign goes on with the version in force, if there is one, and returns its
// hash.
func (l *loader) keepCampaign(name string) (running string) {
	l.next.surveys.named[name] = true
	if old := l.old.surveys.byName[name]; old != nil {
		l.next.surveys.byName[name], running = old, old.hash
	}
	return running
}

// sameDeclared refuses what another analysis, sampling, arm or the like would be than
// what a campaign started with: who may change it after having seen answers finds
// what they look for.
func (p *campaignPast) sameDeclared(program *survey.Program) error {
	began, begun := p.begun[program.Name]
	if !begun || began.analysis == "" || !sameResource(began.spec, began.removed, program.Campaign.UID) {
		return nil
	}
	field, err := program.Declared().Changed([]byte(began.analysis))
	if err != nil || field == "" {
		return err
	}
	return &FieldError{Field: field, Message: "AnalysisChanged: the campaign has asked people by another " + field + "; put it back, or begin a campaign of another name"}
}

// surveyRefs are what a campaign refers to, as far as it is in force, and what
// tells them apart from other versions.
func (st *state) surveyRefs(spec *survey.Campaign, past campaignPast) (survey.Refs, string) {
	refs := survey.Refs{Now: past.now, Channels: map[string]survey.Channel{}, Schedules: map[string]*schedule.Schedule{}, Queues: map[string]bool{}}
	var print strings.Builder
	for _, name := range spec.Channels {
		ch := st.channel(name)
		if ch == nil || ch.Deleting {
			continue
		}
		if caps, known := past.caps[ch.Platform]; known {
			refs.Channels[name] = survey.ChannelOf(ch.Platform, caps)
		} else {
			refs.Channels[name] = survey.Channel{Platform: ch.Platform}
		}
		fmt.Fprintf(&print, "\nchannel/%s %s", name, ch.Platform)
	}
	if name := spec.Trigger.Schedule; name != "" {
		if s, ok := st.routes.schedules[name]; ok {
			refs.Schedules[name] = s.content
			fmt.Fprintf(&print, "\nschedule/%s %s", name, s.hash)
		}
	}
	for _, a := range spec.Actions {
		if st.queues[a.Queue] != nil {
			refs.Queues[a.Queue] = true
			fmt.Fprintf(&print, "\nqueue/%s", a.Queue)
		}
	}
	return refs, print.String()
}

// assumedProgram is the program of a campaign that is not in force: its questions
// are out, and what comes back is understood as it was meant. Nobody is asked by it.
func assumedProgram(name, spec string) (*survey.Program, error) {
	campaign, err := decodeSpec[survey.Campaign](json.RawMessage(spec))
	if err != nil {
		return nil, err
	}
	campaign.Suspended, campaign.Trigger.Schedule = true, ""
	program, found := survey.Compile(name, campaign, survey.AssumeRefs(campaign))
	if program == nil {
		return nil, fmt.Errorf("campaign %s as it was last in force: %s", name, found[0])
	}
	return program, nil
}
