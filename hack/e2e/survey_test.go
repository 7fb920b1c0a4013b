//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/message"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/survey"
	"github.com/bridgekeeper/bridgekeeper/hack/actors"
	simmeta "github.com/bridgekeeper/bridgekeeper/hack/simulator/meta"
	"github.com/bridgekeeper/bridgekeeper/hack/simulator/telegram"
)

// long is for what 200 customers do: a machine that does something else needs
// its time.
const long = 5 * time.Minute

// speaker is a customer on any platform.
type speaker interface {
	Write(ctx context.Context, text string) error
	Read(ctx context.Context, n int, timeout time.Duration) ([]string, error)
	Transcript(ctx context.Context) ([]actors.Line, error)
}

// noScore is what a customer gave who gave none.
const noScore = -1

// reply is what a customer writes when asked, message after message.
type reply struct {
	says []string
	// edit is what the last message is changed to (on Messenger).
	edit string
	// clarified: the shop asks back, once, before the last message.
	clarified bool
	// language of the customer, where words are written out.
	language string
}

// repliesEverywhere are such as people write on any platform.
var repliesEverywhere = []reply{
	{says: []string{"10"}},
	{says: []string{"9/10"}},
	{says: []string{"９"}},
	{says: []string{"٨"}},
	{says: []string{"९"}},
	{says: []string{"7️⃣"}},
	{says: []string{"9, quick help, thank you"}},
	{says: []string{"0, you useless idiots!!!"}},
	{says: []string{"2", "Nobody ever called me back, what a mess."}},
	{says: []string{"6", "slow"}},
	{says: []string{"Leave me alone with this crap!!"}},
	{says: []string{"My parcel is still not here and you ask ME something?"}},
	{says: []string{"I ordered 2 items at 10:30 for 9.99"}},
	{says: []string{"3 or 4", "4"}, clarified: true},
	{says: []string{"5", "8"}}, // changed their mind
	{says: []string{"STOP"}},
	{says: nil}, // silent
}

// repliesInWords need the customer's language, which Telegram tells.
var repliesInWords = []reply{
	{says: []string{"neun"}, language: "de"},
	{says: []string{"8 von 10"}, language: "de"},
	{says: []string{"dix"}, language: "fr"},
	{says: []string{"nueve"}, language: "es"},
	{says: []string{"٧"}, language: "ar"},
	{says: []string{"3, ihr habt doch keine Ahnung"}, language: "de"},
}

// editedReplies are changed in place, which Messenger tells at once.
var editedReplies = []reply{
	{says: []string{"1"}, edit: "10"},
	{says: []string{"9"}, edit: "3"},
}

// meanings are the scores that a person would read out of what customers write; what
// is not here gives none.
var meanings = map[string]int{
	"0, you useless idiots!!!": 0, "1": 1, "2": 2, "3": 3, "3, ihr habt doch keine Ahnung": 3, "4": 4, "5": 5, "6": 6,
	"7️⃣": 7, "٧": 7, "8": 8, "٨": 8, "8 von 10": 8, "9": 9, "９": 9, "९": 9, "9/10": 9, "9, quick help, thank you": 9, "neun": 9, "nueve": 9, "10": 10, "dix": 10,
}

// surveyShop is a shop on two platforms.
type surveyShop struct {
	*shop
	bot      *bot
	page     string
	facebook *v1alpha1.Channel
	campaign *v1alpha1.SurveyCampaign
}

func openSurveyShop(t *testing.T) *surveyShop {
	t.Helper()
	s := newShop(t, func(b *v1alpha1.Bridge) {
		b.Spec.PlatformEndpoints = append(b.Spec.PlatformEndpoints, v1alpha1.PlatformEndpoint{Platform: v1alpha1.PlatformMessenger, URL: endpoint()})
	})
	w := &surveyShop{shop: s, bot: s.newBot("telegram-main", v1alpha1.ReceiveWebhook).open()}
	w.openPage()
	return w
}

// openPage makes a Facebook page and the Channel for it, and waits until it receives.
func (w *surveyShop) openPage() {
	t := w.t
	t.Helper()
	app := simmeta.AppSpec{ID: fmt.Sprint(100_000 + number()), Secret: secret(), HumanAgent: true}
	page := simmeta.AccountSpec{ID: fmt.Sprint(5_000_000 + number()), App: app.ID, Token: "EAAG" + secret()}
	require.NoError(t, run.simulator.AddPage(t.Context(), app, page))
	w.page = page.ID
	w.keepSecret("messenger-main", map[string]string{"appSecret": app.Secret, "verifyToken": secret(), "pageAccessToken": page.Token})
	w.facebook = &v1alpha1.Channel{ObjectMeta: w.meta("messenger-main"), Spec: v1alpha1.ChannelSpec{
		Platform: v1alpha1.PlatformMessenger, Messenger: &v1alpha1.MessengerChannel{PageID: page.ID, AppID: app.ID},
		Credentials: v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: "messenger-main"}},
	}}
	w.create(w.facebook)
	w.awaitCurrent(startup, w.facebook)
	eventually(t, startup, "the page sends to us", func(ctx context.Context) error {
		fields, err := run.simulator.Subscribed(ctx, page.ID, app.ID)
		if err == nil && len(fields) == 0 {
			err = fmt.Errorf("page %s is subscribed to nothing", page.ID)
		}
		return err
	})
}

// newCampaign creates an NPS on both channels, and waits until it is in force.
func (w *surveyShop) newCampaign(name string, trigger v1alpha1.SurveyTrigger, replies *v1alpha1.SurveyReplies) *v1alpha1.SurveyCampaign {
	t := w.t
	t.Helper()
	if replies == nil {
		replies = &v1alpha1.SurveyReplies{}
	}
	replies.Clarify = v1alpha1.Texts{"en": "One number, please.", "de": "Eine Zahl, bitte.", "fr": "Un nombre, s'il vous plaît.", "es": "Un número, por favor.", "ar": "رقم واحد من فضلك."}
	c := &v1alpha1.SurveyCampaign{ObjectMeta: w.meta(name), Spec: v1alpha1.SurveyCampaignSpec{
		Type:        "NPS",
		Window:      v1alpha1.SurveyWindow{Start: metav1.NewTime(time.Now().Add(-time.Hour).Truncate(time.Second)), End: metav1.NewTime(time.Now().Add(24 * time.Hour).Truncate(time.Second))},
		ChannelRefs: []v1alpha1.ObjectReference{{Name: w.bot.channel.Name}, {Name: w.facebook.Name}},
		Trigger:     trigger,
		Languages:   v1alpha1.SurveyLanguages{Offered: []string{"en", "de", "fr", "es", "ar"}, Fallback: "en"},
		Questions: []v1alpha1.SurveyQuestion{
			{ID: "score", Kind: "Score", Text: questions},
			{ID: "why", Kind: "Text", When: "score <= 6", Text: v1alpha1.Texts{"en": "Why?", "de": "Warum?", "fr": "Pourquoi ?", "es": "¿Por qué?", "ar": "لماذا؟"}},
		},
		Replies: replies,
	}}
	w.create(c)
	eventually(t, startup, "the campaign is programmed", func(ctx context.Context) error {
		if err := run.cluster.Get(ctx, client.ObjectKeyFromObject(c), c); err != nil {
			return err
		}
		if found := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionProgrammed); found == nil || found.Status != metav1.ConditionTrue || found.ObservedGeneration != c.Generation {
			return fmt.Errorf("not programmed: %+v", c.Status.Conditions)
		}
		return nil
	})
	return c
}

// guest is a customer with what they will reply.
type guest struct {
	speaker
	person       *actors.Person // on Messenger
	said         string         // at first
	conversation string
	reply        reply
	// What they said once asked, by the platform's log: the last score, or noScore.
	gave            int
	wrote, optedOut bool
}

// guests are n customers, on both platforms by turns, with all replies by turns.
func (w *surveyShop) guests(n int) []*guest {
	t := w.t
	t.Helper()
	var list []*guest
	words := append(append([]reply(nil), repliesEverywhere...), repliesInWords...)
	edits := append(append([]reply(nil), repliesEverywhere...), editedReplies...)
	for i := range n {
		g := &guest{said: text("Hello")}
		if i%2 == 0 {
			g.reply = words[i/2%len(words)]
			user := telegram.User{ID: 100_000_000 + number(), FirstName: "Guest", LanguageCode: g.reply.language}
			if user.LanguageCode == "" {
				user.LanguageCode = "en"
			}
			c, err := run.simulator.Customer(t.Context(), w.bot.id, user)
			require.NoError(t, err)
			g.speaker = c
		} else {
			g.reply = edits[i/2%len(edits)]
			g.person = run.simulator.Person(w.page, fmt.Sprint(200_000_000+number()))
			g.speaker = g.person
		}
		list = append(list, g)
	}
	return list
}

// each lets all guests do something, some at a time.
func each(t *testing.T, guests []*guest, do func(ctx context.Context, g *guest) error) {
	t.Helper()
	group, ctx := errgroup.WithContext(t.Context())
	group.SetLimit(16)
	for _, g := range guests {
		group.Go(func() error { return do(ctx, g) })
	}
	require.NoError(t, group.Wait())
}

// answer is what a guest does once asked; it waits for each answer of the shop, so
// that nothing is said before it is asked for.
func (g *guest) answer(ctx context.Context) error {
	read := 1 // the question
	for i, said := range g.reply.says {
		if _, err := g.Read(ctx, read, long); err != nil {
			return fmt.Errorf("%q waits for message %d of the shop: %w", said, read, err)
		}
		if g.reply.edit != "" {
			mid, err := g.person.WriteAs(ctx, said)
			if err != nil {
				return err
			}
			return g.person.Edit(ctx, mid, g.reply.edit)
		}
		if err := g.Write(ctx, said); err != nil {
			return err
		}
		if i == 0 && (g.reply.clarified || score(said) >= 0 && score(said) <= 6) {
			read++ // the clarification, or why
		}
	}
	return nil
}

// score of a text that is nothing but one, else −1.
func score(text string) int {
	n := -1
	if _, err := fmt.Sscanf(text, "%d", &n); err != nil || fmt.Sprint(n) != text {
		return -1
	}
	return n
}

// questions are the texts by which a score is asked for.
var questions = v1alpha1.Texts{"en": "0 to 10?", "de": "0 bis 10?", "fr": "0 à 10 ?", "es": "¿0 a 10?", "ar": "من 0 إلى 10؟"}

// hear takes down what a guest said since they were asked, as the platform logged it:
// changed messages as they read in the end.
func (g *guest) hear(ctx context.Context) error {
	lines, err := g.Transcript(ctx)
	if err != nil {
		return err
	}
	asked := false
	g.gave, g.wrote, g.optedOut = noScore, false, false
	for _, l := range lines {
		if l.Shop {
			for _, question := range questions {
				asked = asked || l.Text == string(question)
			}
			continue
		}
		if !asked {
			continue
		}
		g.wrote, g.optedOut = true, g.optedOut || l.Text == "STOP"
		if score, ok := meanings[l.Text]; ok {
			g.gave = score
		}
	}
	if !asked {
		return fmt.Errorf("%q was never asked", g.said)
	}
	return nil
}

// record is what the guests gave, by the logs of the platforms.
func record(t *testing.T, guests []*guest) (counts survey.Counts, answered, optedOut int) {
	t.Helper()
	each(t, guests, func(ctx context.Context, g *guest) error { return g.hear(ctx) })
	for _, g := range guests {
		if g.optedOut {
			optedOut++
		}
		switch {
		case g.gave == noScore:
			continue
		case g.gave >= 9:
			counts.Promoters++
		case g.gave >= 7:
			counts.Passives++
		default:
			counts.Detractors++
		}
		answered++
	}
	return counts, answered, optedOut
}

// TestSurvey: 200 customers on two platforms are helped, asked, and answer as
// people do. What REST and the status publish is what they said.
func TestSurvey(t *testing.T) {
	t.Parallel()
	w := openSurveyShop(t)
	w.campaign = w.newCampaign("nps", v1alpha1.SurveyTrigger{Events: []v1alpha1.SurveyTriggerEvent{"ConversationResolved"}}, nil)
	guests := w.guests(200)
	each(t, guests, func(ctx context.Context, g *guest) error { return g.Write(ctx, g.said) })
	w.find(guests)
	each(t, guests, func(ctx context.Context, g *guest) error { return w.desk.Resolve(ctx, g.conversation) })
	each(t, guests, func(ctx context.Context, g *guest) error {
		_, err := g.Read(ctx, 1, long)
		return err
	})
	each(t, guests, func(ctx context.Context, g *guest) error { return g.answer(ctx) })

	counts, answered, optedOut := record(t, guests)
	key := w.namespace + "/" + w.campaign.Name
	var report survey.Report
	eventually(t, long, "all replies are counted", func(ctx context.Context) (err error) {
		if report, err = w.desk.Survey(ctx, key); err != nil {
			return err
		}
		if f := report.Funnel; f.Answered != answered || f.OptedOut != optedOut || report.Counts == nil || *report.Counts != counts {
			return fmt.Errorf("published: %+v of funnel %+v; the customers gave %+v, %d in all, %d opted out", report.Counts, f, counts, answered, optedOut)
		}
		return nil
	})
	nps := 100 * float64(counts.Promoters-counts.Detractors) / float64(answered)
	assert.InDelta(t, nps, report.Result.Value, 1e-9)
	assert.Equal(t, answered, report.Result.N)
	assert.Equal(t, len(guests), report.Funnel.Asked)
	require.NoError(t, report.Funnel.Balanced())
	w.undisturbed(guests)

	// A change of what it does is told at once, with the numbers of that moment.
	change(t, w.campaign, func(c *v1alpha1.SurveyCampaign) { c.Spec.Suspend = true })
	eventually(t, long, "the status has the score", func(ctx context.Context) error {
		if err := run.cluster.Get(ctx, client.ObjectKeyFromObject(w.campaign), w.campaign); err != nil {
			return err
		}
		if r := w.campaign.Status.Result; r == nil || r.N == nil || *r.N != int64(answered) || r.Score != fmt.Sprintf("%.1f", math.Round(nps*10)/10) {
			return fmt.Errorf("the status is %+v, want %.1f of %d", r, nps, answered)
		}
		return nil
	})
	page, err := w.text(t.Context(), "/v1/surveys/"+key+"/report.html")
	require.NoError(t, err)
	assert.Contains(t, page, "plot-distribution")
}

// find notes the conversations of the guests.
func (w *surveyShop) find(guests []*guest) {
	w.t.Helper()
	eventually(w.t, long, "all have been heard", func(ctx context.Context) error {
		heard := map[string]string{}
		for _, channel := range []string{w.bot.key(), w.namespace + "/" + w.facebook.Name} {
			all, err := w.desk.Messages(ctx, channel, message.Inbound)
			if err != nil {
				return err
			}
			for _, m := range all {
				heard[m.Text] = m.Conversation
			}
		}
		for _, g := range guests {
			if g.conversation = heard[g.said]; g.conversation == "" {
				return fmt.Errorf("%q is not there", g.said)
			}
		}
		return nil
	})
}

// undisturbed checks that who gave a score is nobody's work, and who wrote
// something else is.
func (w *surveyShop) undisturbed(guests []*guest) {
	t := w.t
	t.Helper()
	var mu sync.Mutex
	states := map[string]store.ConversationState{}
	for _, channel := range []string{w.bot.key(), w.namespace + "/" + w.facebook.Name} {
		all, err := w.desk.Conversations(t.Context(), channel)
		require.NoError(t, err)
		for _, v := range all {
			states[v.ID] = v.State
		}
	}
	each(t, guests, func(_ context.Context, g *guest) error {
		mu.Lock()
		defer mu.Unlock()
		if state := states[g.conversation]; g.gave != noScore && state != store.ConversationSolved {
			return fmt.Errorf("%q reopened a conversation: it is %s", g.reply.says, state)
		} else if g.gave == noScore && !g.optedOut && g.wrote && state == store.ConversationSolved {
			return fmt.Errorf("%q was swallowed: the conversation is still solved", g.reply.says)
		}
		return nil
	})
}

// text gets a page of REST as text.
func (w *surveyShop) text(ctx context.Context, path string) (string, error) {
	return get(ctx, authorized{w.rest, w.token}, path)
}

// authorized adds the token of REST.
type authorized struct {
	http.RoundTripper
	token string
}

func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+a.token)
	return a.RoundTripper.RoundTrip(r)
}

// TestSurveyLate: a score that comes after its time is kept apart, and is no part
// of the result.
func TestSurveyLate(t *testing.T) {
	t.Parallel()
	w := openSurveyShop(t)
	late := w.newCampaign("late", v1alpha1.SurveyTrigger{Events: []v1alpha1.SurveyTriggerEvent{"API"}}, &v1alpha1.SurveyReplies{Window: &metav1.Duration{Duration: time.Second}, EditWindow: &metav1.Duration{Duration: time.Second}})
	guests := w.guests(10) // of fewer than five nothing is told
	each(t, guests, func(ctx context.Context, g *guest) error { return g.Write(ctx, g.said) })
	w.find(guests)
	// In a conversation that is open, what is written so late is somebody else's.
	each(t, guests, func(ctx context.Context, g *guest) error { return w.desk.Resolve(ctx, g.conversation) })
	key := w.namespace + "/" + late.Name
	funnel := func(what string, holds func(f survey.Funnel) bool) {
		eventually(t, long, what, func(ctx context.Context) error {
			r, err := w.desk.Survey(ctx, key)
			if err == nil && (!holds(r.Funnel) || r.Result.N > 0) {
				err = fmt.Errorf("%+v", r.Funnel)
			}
			return err
		})
	}
	for _, g := range guests {
		messages, err := w.desk.Conversation(t.Context(), g.conversation)
		require.NoError(t, err)
		require.NotEmpty(t, messages)
		decision, err := w.desk.TriggerSurvey(t.Context(), key, messages[0].Contact.ID)
		require.NoError(t, err)
		require.True(t, decision == "Asked" || strings.HasPrefix(decision, "Deferred"), decision)
	}
	each(t, guests, func(ctx context.Context, g *guest) error {
		_, err := g.Read(ctx, 1, long)
		return err
	})
	funnel("their time is over", func(f survey.Funnel) bool { return f.Expired == len(guests) })
	each(t, guests, func(ctx context.Context, g *guest) error { return g.Write(ctx, "9") })
	funnel("both are late", func(f survey.Funnel) bool { return f.Late == len(guests) && f.Answered == 0 })
}
