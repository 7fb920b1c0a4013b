package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const day = 24 * time.Hour

func windowed() platform.Capabilities {
	caps := testCaps
	caps.Window, caps.AgentWindow = day, 7*day
	return caps
}

func TestWindowOf(t *testing.T) {
	none := platform.Capabilities{}
	for name, c := range map[string]struct {
		caps    platform.Capabilities
		allowed bool
		author  message.AuthorKind
		since   time.Duration
		want    window
	}{
		"a platform without one":           {none, true, message.AuthorBot, 900 * day, windowOpen},
		"to the last moment":               {windowed(), false, message.AuthorBot, day, windowOpen},
		"a bot after it":                   {windowed(), true, message.AuthorBot, day + time.Second, windowClosed},
		"the system after it":              {windowed(), true, message.AuthorSystem, day + time.Second, windowClosed},
		"a person after it":                {windowed(), true, message.AuthorAgent, day + time.Second, windowExtended},
		"where the channel does not allow": {windowed(), false, message.AuthorAgent, day + time.Second, windowClosed},
		"a person to the last moment":      {windowed(), true, message.AuthorAgent, 7 * day, windowExtended},
		"a person after that":              {windowed(), true, message.AuthorAgent, 7*day + time.Second, windowClosed},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, windowOf(c.caps, c.allowed, c.author, testTime, testTime.Add(c.since)))
		})
	}
}

// Nobody here knows when the contact last wrote, as they did before this store was
// there: the platform knows, and is asked by sending. Surveys ask nobody so.
func TestAnUnknownWindowIsForThePlatformToJudge(t *testing.T) {
	for author, want := range map[message.AuthorKind]window{
		message.AuthorBot: windowOpen, message.AuthorPolicy: windowOpen, message.AuthorAgent: windowExtended, message.AuthorSurvey: windowClosed,
	} {
		require.Equal(t, want, windowOf(windowed(), true, author, time.Time{}, testTime), author)
	}
	require.Equal(t, windowOpen, windowOf(windowed(), false, message.AuthorAgent, time.Time{}, testTime), "without leave to answer for longer")
}

func TestWhatElseOpensTheWindow(t *testing.T) {
	caps := windowed()
	caps.AdWindow = 7 * day
	none := windowed()
	for name, c := range map[string]struct {
		caps    platform.Capabilities
		did     acts
		allowed bool
		author  message.AuthorKind
		want    window
	}{
		"a reaction after the last message":    {caps, acts{wrote: testTime.Add(-3 * day), acted: testTime.Add(-time.Hour)}, false, message.AuthorBot, windowOpen},
		"a reaction that is old, too":          {caps, acts{wrote: testTime.Add(-3 * day), acted: testTime.Add(-2 * day)}, false, message.AuthorBot, windowClosed},
		"a reaction of somebody who is new":    {caps, acts{acted: testTime.Add(-2 * day)}, false, message.AuthorBot, windowClosed},
		"an ad":                                {caps, acts{wrote: testTime.Add(-3 * day), byAd: testTime.Add(-3 * day)}, false, message.AuthorBot, windowOpen},
		"an ad, to the last moment":            {caps, acts{wrote: testTime.Add(-7 * day), byAd: testTime.Add(-7 * day)}, false, message.AuthorSurvey, windowOpen},
		"an ad, after that":                    {caps, acts{wrote: testTime.Add(-7*day - 1), byAd: testTime.Add(-7*day - 1)}, false, message.AuthorBot, windowClosed},
		"an ad, and a person who may answer":   {caps, acts{wrote: testTime.Add(-3 * day), byAd: testTime.Add(-3 * day)}, true, message.AuthorAgent, windowExtended},
		"an ad on a platform without the rule": {none, acts{wrote: testTime.Add(-3 * day), byAd: testTime.Add(-3 * day)}, false, message.AuthorBot, windowClosed},
	} {
		require.Equal(t, c.want, c.did.window(c.caps, c.allowed, c.author, testTime), name)
	}
}

// reaction of a contact to a message.
func reaction(contact, target string, action message.ReactionAction, at time.Time) message.Event {
	return message.Event{Message: &message.Message{
		Type: message.TypeReaction, ExternalID: fmt.Sprint("reaction:", target, action, at.UnixMilli()), Timestamp: at, Direction: message.Inbound,
		Contact: &message.Contact{ExternalID: contact}, Target: target, Reaction: &message.Reaction{Emoji: "👍", Action: action, Target: target},
	}}
}

func TestAReactionOpensTheWindowWhereThePlatformSaysSo(t *testing.T) {
	request := SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "late"}
	for name, openers := range map[string][]message.Type{"": nil, "it does": {message.TypeReaction}} {
		for _, target := range []string{"hello of c1", "a message from before"} {
			t.Run(name+"/"+target, func(t *testing.T) {
				caps := windowed()
				caps.WindowOpeners = openers
				b := newBox(t, caps)
				conv := b.met(telegram, "c1")
				queued := b.send(conv, "queued")
				b.clock.advance(2 * day)
				before, err := b.Conversation(t.Context(), everything, conv)
				require.NoError(t, err)

				ingest(t, b.Store, telegram, reaction("c1", target, message.ReactionAdd, b.clock.Now()))
				after, err := b.Conversation(t.Context(), everything, conv)
				require.NoError(t, err)
				require.Equal(t, before.LastInboundAt, after.LastInboundAt, "nobody wrote")
				if openers == nil {
					_, err := b.Send(t.Context(), everything, conv, request)
					require.ErrorIs(t, err, ErrConflict)
					require.Empty(t, b.lease(10))
					b.wantStatus(queued, message.StatusFailed, "OutsideWindow")
					return
				}
				late := b.mustSend(conv, request)
				first := b.leaseOne()
				require.Equal(t, queued, first.ID)
				b.sent(first)
				b.sent(b.leaseOne())
				b.wantStatus(late, message.StatusSent, "")

				b.clock.advance(2 * day)
				ingest(t, b.Store, telegram, reaction("c1", target, message.ReactionRemove, b.clock.Now()))
				ingest(t, b.Store, telegram, reaction("c1", target, message.ReactionAdd, b.clock.Now().Add(-25*time.Hour))) // told late
				_, err = b.Send(t.Context(), everything, conv, request)
				require.ErrorIs(t, err, ErrConflict, "to take one off opens nothing, nor does one of the day before")
			})
		}
	}
}

func TestAnAdOpensTheWindowForLonger(t *testing.T) {
	caps := windowed()
	caps.AdWindow, caps.AdSource = 7*day, "ADS"
	b := newBox(t, caps)
	request := SendRequest{Author: message.Author{Kind: message.AuthorAgent}, Type: message.TypeText, Text: "late"}
	conversations := map[string]string{}
	for _, source := range []string{"ADS", "SHORTLINK"} {
		e := textFrom("c "+source, "m "+source, "hello")
		e.Message.Timestamp, e.Message.Referral = b.clock.Now(), &message.Referral{Source: source, AdID: "7"}
		conversations[source] = getMessage(t, b.Store, stored(t, b.Store, telegram, e)).Conversation
	}
	b.clock.advance(6 * day)
	_, err := b.Send(t.Context(), everything, conversations["SHORTLINK"], request)
	require.ErrorIs(t, err, ErrConflict)
	id := b.mustSend(conversations["ADS"], request)
	d := b.leaseOne()
	require.False(t, d.Extended)
	refused := of(d, 0, wire.OutcomeFailed) // it was not the first message after the ad, or the ad was another
	refused.Class, refused.Reason = wire.ErrOutsideWindow, "closed"
	b.report(of(d, 0, wire.OutcomeSending), refused)
	b.wantStatus(id, message.StatusFailed, "OutsideWindow: closed")
	b.clock.advance(2 * day)
	_, err = b.Send(t.Context(), everything, conversations["ADS"], request)
	require.ErrorIs(t, err, ErrConflict)
}

// The account was in use before: somebody answers in the platform's own app, and
// the echo is the first thing that is seen of the contact.
func TestAConversationThatBeginsWithAnEchoCanBeAnswered(t *testing.T) {
	b := newBox(t, windowed())
	echo := textFrom("c9", "m_echo", "from the inbox")
	echo.Message.Echo, echo.Message.Direction = true, message.Outbound
	conv := getMessage(t, b.Store, stored(t, b.Store, telegram, echo)).Conversation
	id := b.send(conv, "more")
	b.sent(b.leaseOne())
	b.wantStatus(id, message.StatusSent, "")
}

// What opened the window stays with a contact whose address changes.
func TestWhatOpenedTheWindowMovesWithTheAddress(t *testing.T) {
	caps := windowed()
	caps.WindowOpeners = []message.Type{message.TypeReaction}
	b := newBox(t, caps)
	conv := b.met(telegram, "old")
	b.met(telegram, "new")
	b.clock.advance(2 * day)
	ingest(t, b.Store, telegram, reaction("old", "hello of old", message.ReactionAdd, b.clock.Now()))
	ingest(t, b.Store, telegram, message.Event{ExternalID: "moved", Migration: &message.Migration{From: "old", To: "new"}})
	b.send(conv, "late")
	b.sent(b.leaseOne())
}

func TestPeopleMayAnswerForLongerWhereTheChannelSaysSo(t *testing.T) {
	b := newBox(t, windowed())
	b.load(append(testEntries(t)[:2], b.channel("shop/a", func(c *document.StoreChannel) { c.AgentWindow = true }), b.channel("shop/b", nil))...)
	a, other := b.met("shop/a", "c1"), b.met("shop/b", "c1")
	b.send(a, "in time")
	first := b.leaseOne()
	require.False(t, first.Extended)
	b.sent(first)

	b.clock.advance(2 * day)
	request := func(kind message.AuthorKind) SendRequest {
		return SendRequest{Author: message.Author{Kind: kind}, Type: message.TypeText, Text: "late", Epoch: 1}
	}
	_, err := b.Send(t.Context(), everything, other, request(message.AuthorAgent))
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "where the Channel allows it")
	_, err = b.Send(t.Context(), everything, a, request(message.AuthorBot))
	require.ErrorIs(t, err, ErrConflict)
	require.ErrorContains(t, err, "only people may write")

	late := b.met("shop/a", "c2")
	b.clock.advance(2 * day)
	id := b.mustSend(late, request(message.AuthorAgent))
	d := b.leaseOne()
	require.Equal(t, id, d.ID)
	require.True(t, d.Extended, "the platform is told that a person answers")

	b.report(of(d, 0, "released"))
	b.clock.advance(6 * day)
	require.Empty(t, b.lease(10), "checked again when it is to go out")
	b.wantStatus(id, message.StatusFailed, "OutsideWindow: the contact last wrote more than 168h0m0s ago")
}
