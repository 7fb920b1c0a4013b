package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
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
	require.Equal(t, windowClosed, windowOf(windowed(), true, message.AuthorAgent, time.Time{}, testTime), "a contact that never wrote")
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
