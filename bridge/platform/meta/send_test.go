package meta_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/instagram"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform/messenger"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
	sim "github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
)

// deliver plans a message and sends its parts, as store and outbox do.
func (w *world) deliver(l loaded, m message.Message, change func(*platform.Outgoing)) ([]string, error) {
	w.t.Helper()
	parts, err := platform.Plan(l.Capabilities(), m)
	require.NoError(w.t, err)
	var ids []string
	for _, p := range parts {
		out := platform.Outgoing{Delivery: "01JDELIVERY", To: personOf(strings.TrimPrefix(l.ch.Name(), "shop/")), Part: p}
		if p.Index == 0 {
			out.ReplyTo = m.ReplyTo
		}
		if change != nil {
			change(&out)
		}
		result, err := l.Send(ctx, l.ch, out)
		if err != nil {
			return ids, err
		}
		ids = append(ids, result.ExternalIDs...)
	}
	return ids, nil
}

func TestEveryKindThatCanBePlannedIsAccepted(t *testing.T) {
	button := []message.Button{{Title: "Track", Payload: "TRACK"}, {Title: "Shop", URL: "https://shop.example.com"}}
	quick := []message.Button{{Title: "Red", Payload: "RED"}, {Title: "Blue", Payload: "BLUE"}}
	file := message.Attachment{Kind: message.TypeFile, URL: "https://shop.example.com/a.pdf", Caption: "the invoice"}
	for name, m := range map[string]message.Message{
		"text":                  {Text: "hello 👋"},
		"long text":             {Text: strings.Repeat("слово ", 700)},
		"emoji at the limit":    {Text: strings.Repeat("👩‍👩‍👧", 400)},
		"quick replies":         {Text: "Which?", Buttons: quick, ButtonStyle: message.ButtonStyleQuickReplies},
		"many buttons":          {Text: "Which?", Buttons: append(append(quick, quick...), quick...)},
		"buttons":               {Text: "Look", Buttons: button},
		"buttons, long text":    {Text: strings.Repeat("word ", 500), Buttons: button},
		"file with a caption":   {Attachments: []message.Attachment{file}},
		"file, text, buttons":   {Text: "see", Attachments: []message.Attachment{file}, Buttons: button},
		"file with quick reply": {Attachments: []message.Attachment{{Kind: message.TypeImage, URL: "https://shop.example.com/a.jpg"}}, Buttons: quick},
		"cards": {Type: message.TypeTemplate, Text: "Ours:", Buttons: quick, Template: &message.Template{Cards: []message.Card{
			{Title: "Shirt", Subtitle: "Blue", ImageURL: "https://shop.example.com/s.jpg", URL: "https://shop.example.com/s", Buttons: button}, {Title: "Mug", Subtitle: "€9"},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for account, l := range map[string]loaded{pageID: w.page(""), directID: w.load(instagram.New(), directSpec(), nil), igUser: w.load(instagram.New(), soloSpec(), nil)} {
				theirs, err := w.Person(account, personOf(account)).Write(sim.Words{Text: "hi"})
				require.NoError(t, err)
				m.ReplyTo = theirs
				ids, err := w.deliver(l, m, nil)
				require.NoError(t, err)
				got := w.Person(account, personOf(account)).Transcript("shop", "message")
				require.Len(t, got, len(ids))
				for i, e := range got {
					assert.Equal(t, ids[i], e.MID)
					assert.True(t, strings.HasPrefix(e.Message.Metadata, "bridgekeeper:"), "each part bears the tag")
				}
				assert.Equal(t, theirs, got[0].Message.ReplyTo)
			}
			w.noTokens()
		})
	}
}

// The echo of what was sent is no message: it proves that the part was sent.
func TestTheEchoOfATaggedPartIsItsProof(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	p := w.Person(pageID, personOf(pageID))
	_, err := p.Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	ours, err := w.deliver(l, message.Message{Text: "from the outbox"}, nil)
	require.NoError(t, err)
	mid, err := p.Answer("from the page's inbox")
	require.NoError(t, err)
	_, err = w.WaitDelivered(soon(t), appID, 3)
	require.NoError(t, err)
	var texts []string
	proofs := 0
	for _, e := range w.events() {
		if e.Message == nil {
			require.NotNil(t, e.Receipt)
			assert.Equal(t, message.StatusSent, e.Receipt.Status)
			assert.Equal(t, "01JDELIVERY", e.Receipt.Delivery)
			assert.Equal(t, ours, []string{e.Receipt.ExternalID})
			proofs++
			continue
		}
		texts = append(texts, e.Message.Text)
		if e.Message.Echo {
			assert.Equal(t, mid, e.Message.ExternalID)
		}
	}
	assert.ElementsMatch(t, []string{"hi", "from the page's inbox"}, texts)
	assert.Equal(t, 1, proofs)
}

func TestTheWindowAndTheTagForPeople(t *testing.T) {
	w := newWorld(t)
	l, direct := w.page(""), w.load(instagram.New(), directSpec(), nil)
	for account, l := range map[string]loaded{pageID: l, directID: direct} {
		p := w.Person(account, personOf(account))
		_, err := p.Write(sim.Words{Text: "hi"})
		require.NoError(t, err)
		require.NoError(t, p.Age(25*time.Hour))
		_, err = w.deliver(l, message.Message{Text: "late"}, nil)
		assert.Equal(t, wire.ErrOutsideWindow, asError(t, err).Class)
		_, err = w.deliver(l, message.Message{Text: "a person's answer"}, func(o *platform.Outgoing) { o.Extended = true })
		require.NoError(t, err)
		got := p.Transcript("shop", "message")
		assert.Equal(t, "HUMAN_AGENT", got[len(got)-1].Message.Tag)
		require.NoError(t, p.Age(7*24*time.Hour))
		_, err = w.deliver(l, message.Message{Text: "too late"}, func(o *platform.Outgoing) { o.Extended = true })
		assert.Equal(t, wire.ErrOutsideWindow, asError(t, err).Class)
	}
}

func TestAnUploadIsMadeOnceAndItsBytesAreWhole(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	_, err := w.Person(pageID, personOf(pageID)).Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	bytes := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	opened := 0
	open := func(o *platform.Outgoing) {
		o.OpenMedia = func(context.Context, string) (io.ReadCloser, error) {
			opened++
			return io.NopCloser(strings.NewReader(bytes)), nil
		}
	}
	m := message.Message{Attachments: []message.Attachment{{Kind: message.TypeImage, MediaID: "01JMEDIA", MimeType: "image/png", Name: "größe \"1\".png", Size: int64(len(bytes))}}}
	require.NoError(t, w.AddFault(sim.Fault{Kind: sim.FaultFail, Path: "/messages", Code: 2, Times: 1}))
	_, err = w.deliver(l, m, open)
	assert.Equal(t, wire.ErrRetryable, asError(t, err).Class)
	_, err = w.deliver(l, m, open)
	require.NoError(t, err)
	assert.Equal(t, 1, opened, "the send was repeated, the upload was not")
	require.Len(t, w.Uploaded(pageID), 1)
	assert.Equal(t, bytes, string(w.Uploaded(pageID)[0]))

	m.Attachments[0].MediaID = "01JBROKEN"
	_, err = w.deliver(l, m, func(o *platform.Outgoing) {
		o.OpenMedia = func(context.Context, string) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("half"), errReader{})), nil
		}
	})
	e := asError(t, err)
	assert.Equal(t, wire.ErrRetryable, e.Class)
	assert.False(t, e.MaybeSent, "an upload is sent to nobody")
	assert.Len(t, w.Uploaded(pageID), 1)
	assert.GreaterOrEqual(t, messenger.New().SendTimeout(wire.Part{Attachment: &message.Attachment{MediaID: "m"}}), 100*time.Second, "25 MB at 2 Mbit/s")
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestFaultsOfTheAPIHaveHonestOutcomes(t *testing.T) {
	for name, test := range map[string]struct {
		fault     sim.Fault
		class     wire.ErrorClass
		maybeSent bool
		arrives   int
	}{
		"a 500 page":                 {sim.Fault{Kind: sim.FaultServerError}, wire.ErrRetryable, true, 0},
		"down for a moment":          {sim.Fault{Kind: sim.FaultFail, Code: 2}, wire.ErrRetryable, false, 0},
		"rate":                       {sim.Fault{Kind: sim.FaultFail, Code: 613, RetryAfter: 9}, wire.ErrRateLimited, false, 0},
		"reset before":               {sim.Fault{Kind: sim.FaultReset}, wire.ErrRetryable, true, 0},
		"the answer is lost":         {sim.Fault{Kind: sim.FaultLost}, wire.ErrRetryable, true, 1},
		"success after the time-out": {sim.Fault{Kind: sim.FaultLate}, wire.ErrRetryable, true, 1},
		"no answer":                  {sim.Fault{Kind: sim.FaultHang}, wire.ErrRetryable, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			l := w.page("")
			p := w.Person(pageID, personOf(pageID))
			_, err := p.Write(sim.Words{Text: "hi"})
			require.NoError(t, err)
			test.fault.Path, test.fault.Times = "/messages", 1
			require.NoError(t, w.AddFault(test.fault))
			c, cancel := context.WithTimeout(ctx, 2*time.Second) // the call has arrived by then
			defer cancel()
			_, err = l.Send(c, l.ch, platform.Outgoing{Delivery: "01J", To: personOf(pageID), Part: wire.Part{Text: "x"}})
			e := asError(t, err)
			assert.Equal(t, test.class, e.Class, e.Reason)
			assert.Equal(t, test.maybeSent, e.MaybeSent)
			assert.Len(t, p.Transcript("shop", "message"), test.arrives)
			if test.fault.RetryAfter > 0 {
				assert.Equal(t, 9*time.Second, e.RetryAfter)
			}
		})
	}
}

func TestAFullQuotaStopsTheNextCall(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	_, err := w.Person(pageID, personOf(pageID)).Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	w.SetUsage(sim.Usage{Account: 100, Regain: 4})
	_, err = w.deliver(l, message.Message{Text: "the last"}, nil)
	require.NoError(t, err)
	before := len(w.Calls("", 0))
	_, err = w.deliver(l, message.Message{Text: "one too many"}, nil)
	e := asError(t, err)
	assert.Equal(t, wire.ErrRateLimited, e.Class)
	assert.InDelta(t, (4 * time.Minute).Seconds(), e.RetryAfter.Seconds(), 5)
	assert.False(t, e.MaybeSent)
	assert.Len(t, w.Calls("", 0), before, "Meta was not asked")
}

func TestWhoCannotBeReached(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	_, err := w.deliver(l, message.Message{Text: "x"}, nil)
	assert.Equal(t, wire.ErrRecipientGone, asError(t, err).Class, "never wrote")
	p := w.Person(pageID, personOf(pageID))
	_, err = p.Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	require.NoError(t, p.Block())
	_, err = w.deliver(l, message.Message{Text: "x"}, nil)
	assert.Equal(t, wire.ErrRecipientGone, asError(t, err).Class)
}

func TestReactionsAreInstagramsAlone(t *testing.T) {
	w := newWorld(t)
	direct := w.load(instagram.New(), directSpec(), nil)
	p := w.Person(directID, personOf(directID))
	mid, err := p.Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	react := func(emoji string, action message.ReactionAction) error {
		_, err := w.deliver(direct, message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: emoji, Action: action, Target: mid}}, nil)
		return err
	}
	require.NoError(t, react("❤️", ""))
	require.NoError(t, react("", message.ReactionRemove))
	assert.Equal(t, wire.ErrContentRejected, asError(t, react("🍕", "")).Class)
	assert.Len(t, p.Transcript("shop", "react"), 1)
	assert.Len(t, p.Transcript("shop", "unreact"), 1)
	_, err = platform.Plan(messenger.New().Capabilities(), message.Message{Type: message.TypeReaction, Reaction: &message.Reaction{Emoji: "❤", Target: mid}})
	require.Error(t, err)
}

func TestACheckboxIsWrittenToByItsReference(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	require.NoError(t, w.OptIn(pageID, "ref-9", "BASKET"))
	_, err := w.WaitDelivered(soon(t), appID, 1)
	require.NoError(t, err)
	opted := w.events()[0].Message
	assert.Equal(t, "user_ref:ref-9", opted.Contact.ExternalID)
	result, err := l.Send(ctx, l.ch, platform.Outgoing{Delivery: "01J", To: opted.Contact.ExternalID, Part: wire.Part{Text: "welcome"}})
	require.NoError(t, err)
	assert.NotEmpty(t, result.NewAddress, "Meta tells who it is")
}

func TestPeoplesFilesAreFetchedWithoutAToken(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	_, err := w.Person(pageID, personOf(pageID)).Write(sim.Words{Attachments: []sim.Attachment{{Type: "image", Name: "a.png", MimeType: "image/png", Data: []byte("bytes")}}})
	require.NoError(t, err)
	_, err = w.WaitDelivered(soon(t), appID, 1)
	require.NoError(t, err)
	ref := w.events()[0].Message.Attachments[0].Ref
	m, err := l.FetchMedia(ctx, l.ch, ref)
	require.NoError(t, err)
	defer m.Body.Close()
	data, err := io.ReadAll(m.Body)
	require.NoError(t, err)
	assert.Equal(t, "bytes", string(data))
	assert.Equal(t, "image/png", m.MimeType)
	assert.Equal(t, int64(5), m.Size)

	for ref, class := range map[string]wire.ErrorClass{
		strings.SplitN(ref, "?", 2)[0]: wire.ErrContentRejected, // the link has expired
		"file:///etc/passwd":           wire.ErrContentRejected,
		"not a link":                   wire.ErrContentRejected,
	} {
		_, err := l.FetchMedia(ctx, l.ch, ref)
		assert.Equal(t, class, asError(t, err).Class, ref)
	}
}

// Who can sign a webhook must not reach into the cluster with it, not even
// where the API itself is somewhere private.
func TestALinkInAPayloadDoesNotLeadInside(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "internal") }))
	defer inside.Close()
	w := newWorld(t)
	l := w.page("")
	_, err := l.FetchMedia(ctx, l.ch, inside.URL+"/metadata")
	require.ErrorIs(t, err, platform.ErrForbiddenAddress)
}

func TestAStrangeRecipientIsNotALeak(t *testing.T) {
	w := newWorld(t)
	l := w.page("")
	_, err := l.Send(ctx, l.ch, platform.Outgoing{Delivery: "01J", To: "../../etc", Part: wire.Part{Text: "x"}})
	assert.Equal(t, wire.ErrRecipientGone, asError(t, err).Class)
	_, err = l.Send(ctx, l.ch, platform.Outgoing{Delivery: "01J", To: personOf(pageID), Part: wire.Part{Location: &message.Location{}}})
	assert.Equal(t, wire.ErrContentRejected, asError(t, err).Class)
}

// A read watermark is Meta's time of the last message that was seen: the send
// must be dated before it, and not by much.
func TestASendIsDatedSoThatWatermarksCoverIt(t *testing.T) {
	const most = time.Second
	w := newWorld(t)
	l := w.page("")
	w.register(l, "")
	p := w.Person(pageID, personOf(pageID))
	_, err := p.Write(sim.Words{Text: "hi"})
	require.NoError(t, err)
	out := platform.Outgoing{Delivery: "01JDELIVERY", To: personOf(pageID), Part: wire.Part{Text: "seen"}}
	w.now.set(time.Now())
	begun := time.Now()
	seen, err := l.Send(ctx, l.ch, out)
	require.NoError(t, err)
	require.NoError(t, p.Read())
	_, err = w.WaitDelivered(soon(t), appID, 3) // hi, the echo, the receipt
	require.NoError(t, err)
	var until time.Time
	for _, e := range w.events() {
		if e.Receipt != nil {
			until = e.Receipt.Watermark
		}
	}
	require.False(t, until.IsZero())
	assert.False(t, seen.SentAt.After(until), "the person has seen it, though our clock is ahead by the time between the two lines above")
	assert.False(t, seen.SentAt.Before(begun.Add(-most)), "what is sent %s after a watermark is not covered by it", most)
}
