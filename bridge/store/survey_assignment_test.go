package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
)

func (w *village) assignment(whom SurveyWhom) SurveyAssignment {
	w.t.Helper()
	a, err := w.SurveyAssignment(w.t.Context(), everything, npsCampaign, whom)
	require.NoError(w.t, err)
	return a
}

// An address has its arm before it writes, and the same one ever after.
func TestAnAddressHasItsArmBeforeItWrites(t *testing.T) {
	w := newVillage(t, arms, func(c *survey.Campaign) { c.Holdout.Fraction, c.Sampling.Rate = "20%", "70%" })
	seen := map[SurveyAssignment]int{}
	for i := range 40 {
		name := numbered("p", i)
		before := w.assignment(SurveyWhom{Channel: telegram, ExternalID: name})
		require.False(t, before.Kept)
		require.Zero(t, count(t, w.Store, "survey_ledger"), "asking changes nothing")
		require.Zero(t, count(t, w.Store, "contacts WHERE id = '"+before.Contact+"'"))
		seen[SurveyAssignment{Arm: before.Arm, HeldOut: before.HeldOut, Sampled: before.Sampled}]++

		v := w.met(telegram, name)
		require.Equal(t, before.Contact, w.contactOf(v))
		for _, whom := range []SurveyWhom{{Contact: before.Contact}, {Conversation: v}, {Channel: telegram, ExternalID: name}} {
			require.Equal(t, before, w.assignment(whom))
		}
	}
	require.Greater(t, len(seen), 3, "both arms, the holdout, the sample: %v", seen)

	name := numbered("p", 0)
	before := w.assignment(SurveyWhom{Channel: telegram, ExternalID: name})
	told, err := w.TriggerSurvey(t.Context(), everything, npsCampaign, SurveyTrigger{Contact: before.Contact, Event: survey.API})
	require.NoError(t, err)
	after := w.assignment(SurveyWhom{Contact: before.Contact})
	require.Equal(t, after, told.Assignment)
	require.True(t, after.Kept)
	require.Equal(t, before.Arm, after.Arm)
	require.Equal(t, []bool{before.HeldOut, before.Sampled}, []bool{after.HeldOut, after.Sampled})
	require.Equal(t, told.Exit == survey.Asked, !after.AskedAt.IsZero())
}

// Who offers a channel by the arm, and tells what came of it, has one person in one arm.
func TestTheOfferedChannelBecomesThatPersons(t *testing.T) {
	w := newVillage(t, arms)
	mail := SurveyWhom{Channel: telegram, ExternalID: "ana@example.org"}
	drawn := w.assignment(mail)
	v := w.met(telegram, "ana@example.org")
	chat := w.met(secondChat, "1254") // by the link that she was offered
	w.merge(w.contactOf(v), w.contactOf(chat))
	for _, whom := range []SurveyWhom{mail, {Channel: secondChat, ExternalID: "1254"}, {Conversation: chat}} {
		require.Equal(t, drawn, w.assignment(whom))
	}
}

func TestAssignmentsThatCannotBeTold(t *testing.T) {
	w := newVillage(t, arms)
	byConversation := npsSpec(arms)
	byConversation.Sampling.Unit = survey.UnitConversation
	w.campaign("shop/each", byConversation)
	v := w.met(telegram, "ana")
	for field, ask := range map[string]SurveyWhom{
		"contact": {}, "channel": {ExternalID: "x"}, "externalId": {Channel: telegram},
	} {
		_, err := w.SurveyAssignment(t.Context(), everything, npsCampaign, ask)
		fe := (*FieldError)(nil)
		require.ErrorAs(t, err, &fe)
		require.Equal(t, field, fe.Field)
	}
	for _, ask := range []SurveyWhom{{Contact: "nobody"}, {Channel: "shop/none", ExternalID: "x"}, {Channel: foreign, ExternalID: "x"}} {
		_, err := w.SurveyAssignment(t.Context(), Scope{Namespaces: []string{"shop"}}, npsCampaign, ask)
		require.ErrorIs(t, err, ErrNotFound)
	}
	_, err := w.SurveyAssignment(t.Context(), Scope{Namespaces: []string{"other"}}, npsCampaign, SurveyWhom{Conversation: v})
	require.ErrorIs(t, err, ErrNotFound)
	_, err = w.SurveyAssignment(t.Context(), everything, "shop/each", SurveyWhom{Contact: w.contactOf(v)})
	require.ErrorContains(t, err, "conversation")
	_, err = w.SurveyAssignment(t.Context(), everything, "shop/each", SurveyWhom{Conversation: v})
	require.NoError(t, err)
}
