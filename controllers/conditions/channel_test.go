package conditions

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

const (
	valid    = v1alpha1.ConditionCredentialsValid
	webhook  = v1alpha1.ConditionWebhookRegistered
	resolved = v1alpha1.ConditionResolvedRefs
)

func TestFromApplyToReady(t *testing.T) {
	s := newScene(t)
	s.step(status.InProgressStatus, "False/BridgeNotReady")
	require.Empty(t, s.condition(valid), "nothing is said before it is loaded")

	s.load(2)
	s.pods[1].Status.Hash, s.pods[1].Status.Shards = "older", []string{"older"}
	s.step(status.InProgressStatus, "False/NotLoaded")

	s.load(2)
	s.step(status.InProgressStatus, "False/NotAttempted")
	require.Equal(t, "Unknown/NotAttempted", s.condition(valid))
	require.Equal(t, FirstProbe, s.recheck)

	s.row(func(r *document.ChannelStatus) {
		r.Credentials, r.DisplayName = duty(document.DutyDone, ""), "Shop Bot"
		r.Webhook = duty(document.DutyRetrying, v1alpha1.ReasonUnreachable)
	})
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "True/Done", s.condition(valid))
	require.Equal(t, "False/Unreachable", s.condition(webhook))
	require.Equal(t, "True/NoProfile", s.condition(v1alpha1.ConditionProfileSynced))
	require.Equal(t, "True/Done", s.condition(v1alpha1.ConditionDelivering))
	require.Equal(t, "Shop Bot", s.channel.Status.DisplayName)
	require.Equal(t, "shop/edge", s.channel.Status.Bridge)
	require.Zero(t, s.recheck)
}

func TestPlatformThatCannotBeReachedDoesNotHoldReady(t *testing.T) {
	t.Run("it does not answer", func(t *testing.T) {
		s := newScene(t)
		s.load(1)
		s.row(probed(document.DutyRetrying, v1alpha1.ReasonUnreachable))
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "Unknown/Unreachable", s.condition(valid))
	})
	t.Run("nobody asks", func(t *testing.T) {
		s := newScene(t)
		s.load(1)
		s.step(status.InProgressStatus, "False/NotAttempted")
		s.now = start.Add(FirstProbe)
		s.step(status.CurrentStatus, "True/Ready")
	})
	t.Run("the clock starts when it is loaded", func(t *testing.T) {
		s := newScene(t)
		s.step(status.InProgressStatus, "False/BridgeNotReady")
		s.now = start.Add(time.Hour)
		s.load(1)
		s.step(status.InProgressStatus, "False/NotAttempted")
	})
	t.Run("suspended from the beginning", func(t *testing.T) {
		s := newScene(t)
		s.channel.Spec.Suspend = true
		s.load(1)
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/Suspended", s.condition(v1alpha1.ConditionDelivering))
	})
}

func TestRefusedCredentials(t *testing.T) {
	t.Run("on the first probe, repaired by a rotation", func(t *testing.T) {
		s := newScene(t)
		s.load(1)
		s.step(status.InProgressStatus, "False/NotAttempted")
		s.row(probed(document.DutyFailed, v1alpha1.ReasonAuthInvalid))
		s.step(status.FailedStatus, "False/AuthInvalid")
		s.step(status.FailedStatus, "False/AuthInvalid")

		s.compile("rotated")
		s.step(status.InProgressStatus, "False/NotLoaded")
		require.Equal(t, "False/AuthInvalid", s.condition(valid), "the platform's last word stands")
		s.load(1)
		s.row(probed(document.DutyDone, ""))
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "True/Done", s.condition(valid))
	})
	t.Run("after Ready was given on credit", func(t *testing.T) {
		s := newScene(t)
		s.load(1)
		s.row(probed(document.DutyRetrying, v1alpha1.ReasonUnreachable))
		s.step(status.CurrentStatus, "True/Ready")
		s.row(probed(document.DutyFailed, v1alpha1.ReasonMisconfigured))
		s.step(status.FailedStatus, "False/Misconfigured")
	})
	t.Run("later, they show in their own condition", func(t *testing.T) {
		s := readyScene(t)
		s.row(probed(document.DutyFailed, v1alpha1.ReasonAuthInvalid))
		s.step(status.CurrentStatus, "True/Ready")
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/AuthInvalid", s.condition(valid))
	})
}

func readyScene(t *testing.T) *scene {
	s := newScene(t)
	s.load(2)
	s.row(func(r *document.ChannelStatus) {
		r.Credentials, r.Webhook = duty(document.DutyDone, ""), duty(document.DutyDone, "")
	})
	s.step(status.CurrentStatus, "True/Ready")
	return s
}

func TestLatch(t *testing.T) {
	t.Run("holds", func(t *testing.T) {
		holds := map[string]func(*scene){
			"when all pods are gone":           func(s *scene) { s.pods = nil },
			"when a new pod has nothing yet":   func(s *scene) { s.pods[1].Status = document.Status{} },
			"when one pod refuses the entry":   func(s *scene) { s.refuse(1) },
			"while a new version is loaded":    func(s *scene) { s.compile("other credentials") },
			"when the platform is down":        func(s *scene) { s.row(probed(document.DutyRetrying, v1alpha1.ReasonUnreachable)) },
			"when the Bridge takes in nothing": func(s *scene) { s.trouble = "it is suspended"; s.compile("new") },
			"when the Secret is gone for a moment": func(s *scene) {
				s.compile("a", missingSecret())
			},
		}
		for name, happen := range holds {
			t.Run(name, func(t *testing.T) {
				s := readyScene(t)
				happen(s)
				s.step(status.CurrentStatus, "True/Ready")
				require.Equal(t, "True/Done", s.condition(valid), "and the platform's word stands")
				require.Equal(t, "True/Done", s.condition(webhook))
			})
		}
	})
	t.Run("does not hold for another generation", func(t *testing.T) {
		s := readyScene(t)
		s.channel.Generation = 2
		s.compile("b")
		s.step(status.InProgressStatus, "False/NotLoaded")
		s.load(1)
		s.row(nil)
		s.step(status.CurrentStatus, "True/Ready")
	})
	t.Run("is broken when every pod refuses", func(t *testing.T) {
		s := readyScene(t)
		s.refuse(0)
		s.refuse(1)
		s.step(status.FailedStatus, "False/LoadFailed")
		require.Contains(t, s.channel.Status.Conditions[0].Message, "spec.telegram.botID: too long")
	})
	t.Run("is broken by what is terminal at once", func(t *testing.T) {
		s := readyScene(t)
		s.compile("a", compile.Finding{Condition: valid, Reason: v1alpha1.ReasonSecretValueInvalid, Message: "mistyped", Terminal: true})
		s.step(status.FailedStatus, "False/SecretValueInvalid")
		s.compile("b")
		s.step(status.InProgressStatus, "False/NotLoaded")
		require.Empty(t, s.condition(valid), "what was said about the Secret is over")
	})
}

func (s *scene) refuse(pod int) {
	s.pods[pod].Status.Exceptions = []document.Exception{{
		Entry: s.result.Entry.Key(), Hash: s.result.Entry.Hash, Field: "telegram.botID", Message: "too long",
	}}
}

func TestGrace(t *testing.T) {
	s := newScene(t)
	s.broken(missingSecret())
	s.step(status.InProgressStatus, "False/SecretNotUsable")
	require.Equal(t, "False/SecretNotUsable", s.condition(resolved))
	require.Equal(t, compile.Grace, s.recheck)
	require.Empty(t, eventsOf(nil, s.channel.Status.Conditions), "manifests arrive in any order")

	s.now = start.Add(29 * time.Second)
	s.step(status.InProgressStatus, "False/SecretNotUsable")
	before := s.channel.Status.Conditions
	s.now = start.Add(30 * time.Second)
	s.step(status.FailedStatus, "False/SecretNotUsable")
	require.Equal(t, []string{"-Ready/SecretNotUsable"}, eventsOf(before, s.channel.Status.Conditions))

	s.compile("a")
	s.load(1)
	s.row(probed(document.DutyDone, ""))
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "True/Resolved", s.condition(resolved))
}

func TestGraceOfOneFindingDoesNotHideAnother(t *testing.T) {
	s := newScene(t)
	s.broken(missingSecret())
	s.result.Findings = append(s.result.Findings, compile.Finding{
		Condition: v1alpha1.ConditionAccepted, Reason: v1alpha1.ReasonInvalidSpec, Message: "spec.reopenWindow", Terminal: true,
	})
	s.step(status.FailedStatus, "False/InvalidSpec")
}

func TestWebhookConditions(t *testing.T) {
	t.Run("polling", func(t *testing.T) {
		s := readyScene(t)
		before := s.channel.Status.Conditions
		s.result.Receive, s.result.WebhookURL = v1alpha1.ReceivePolling, ""
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/Polling", s.condition(webhook))
		require.Empty(t, eventsOf(before, s.channel.Status.Conditions))
	})
	t.Run("polling, after a webhook", func(t *testing.T) {
		const former = "https://former.example.com/webhooks/shop/bot"
		message := func(s *scene) string {
			s.step(status.CurrentStatus, "True/Ready")
			require.Equal(t, "False/Polling", s.condition(webhook))
			return meta.FindStatusCondition(s.channel.Status.Conditions, webhook).Message
		}
		receives := func(d *document.Duty) func(*document.ChannelStatus) {
			return func(r *document.ChannelStatus) { probed(document.DutyDone, "")(r); r.Receiving = d }
		}
		s := readyScene(t)
		s.result.Receive, s.result.WebhookURL, s.result.FormerWebhookURL = v1alpha1.ReceivePolling, "", former
		require.Contains(t, message(s), former)
		s.row(receives(duty(document.DutyRetrying, v1alpha1.ReasonUnreachable)))
		require.Contains(t, message(s), former)
		s.row(receives(duty(document.DutyDone, "")))
		require.Contains(t, message(s), "no webhook is needed")
		s.channel.Spec.Suspend = true
		require.Contains(t, message(s), former, "nobody fetches, so nobody removes it")
	})
	t.Run("no public URL does not keep Ready back", func(t *testing.T) {
		s := readyScene(t)
		s.result.Findings = []compile.Finding{{Condition: webhook, Reason: v1alpha1.ReasonNoPublicURL, Message: "set it", Terminal: true}}
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/NoPublicURL", s.condition(webhook))
		s.result.Findings = nil
		s.row(nil)
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "Unknown/NotAttempted", s.condition(webhook))
	})
	t.Run("taken over", func(t *testing.T) {
		s := readyScene(t)
		before := s.channel.Status.Conditions
		s.row(func(r *document.ChannelStatus) { r.Webhook = duty(document.DutyRetrying, v1alpha1.ReasonTakenOver) })
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/TakenOver", s.condition(webhook))
		require.Equal(t, []string{"-WebhookRegistered/TakenOver"}, eventsOf(before, s.channel.Status.Conditions))
		before = s.channel.Status.Conditions
		s.row(func(r *document.ChannelStatus) { r.Webhook = duty(document.DutyDone, "") })
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, []string{"+WebhookRegistered/Done"}, eventsOf(before, s.channel.Status.Conditions))
	})
}

func TestWebhookThatThePlatformCannotDeliverTo(t *testing.T) {
	const words = "registered, but Telegram cannot deliver 3 updates: SSL error"
	notDelivered := duty(document.DutyRetrying, v1alpha1.ReasonNotDelivered)
	notDelivered.Message = words
	s := readyScene(t)
	require.Equal(t, "True/Done", s.condition(webhook))

	before := s.channel.Status.Conditions
	s.row(func(r *document.ChannelStatus) { r.Webhook = notDelivered })
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "False/NotDelivered", s.condition(webhook))
	require.Equal(t, words, meta.FindStatusCondition(s.channel.Status.Conditions, webhook).Message)
	require.Equal(t, []string{"-WebhookRegistered/NotDelivered"}, eventsOf(before, s.channel.Status.Conditions))

	before = s.channel.Status.Conditions
	s.row(func(r *document.ChannelStatus) { r.Webhook = duty(document.DutyDone, "") })
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "True/Done", s.condition(webhook))
	require.Equal(t, []string{"+WebhookRegistered/Done"}, eventsOf(before, s.channel.Status.Conditions))

	s.row(func(r *document.ChannelStatus) { r.Webhook = duty(document.DutyRetrying, v1alpha1.ReasonUnreachable) })
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "True/Done", s.condition(webhook), "a platform that does not answer has not said that anything broke")
}

func TestDelivering(t *testing.T) {
	delivering := v1alpha1.ConditionDelivering
	t.Run("trouble on a replica that does not hold the channel", func(t *testing.T) {
		s := readyScene(t)
		s.pods[1].Rows = map[string]document.ChannelStatus{"Channel/shop/bot": {
			Entry: "Channel/shop/bot", Delivering: duty(document.DutyRetrying, v1alpha1.ReasonUnreachable),
		}}
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/Unreachable", s.condition(delivering))
	})
	t.Run("fetching fails", func(t *testing.T) {
		s := readyScene(t)
		s.row(func(r *document.ChannelStatus) { r.Receiving = duty(document.DutyFailed, v1alpha1.ReasonAuthInvalid) })
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/AuthInvalid", s.condition(delivering))
	})
	t.Run("suspended and resumed", func(t *testing.T) {
		s := readyScene(t)
		s.channel.Spec.Suspend = true
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "False/Suspended", s.condition(delivering))
		s.channel.Spec.Suspend, s.pods = false, nil
		s.step(status.CurrentStatus, "True/Ready")
		require.Equal(t, "Unknown/NotAttempted", s.condition(delivering))
	})
}

func TestProfile(t *testing.T) {
	s := readyScene(t)
	s.channel.Spec.Telegram.Profile = &v1alpha1.TelegramProfile{Commands: []v1alpha1.TelegramCommand{}}
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "Unknown/NotAttempted", s.condition(v1alpha1.ConditionProfileSynced), "NoProfile was not the platform's word")
	s.row(func(r *document.ChannelStatus) { r.Profile = duty(document.DutyDone, "") })
	s.step(status.CurrentStatus, "True/Ready")
	require.Equal(t, "True/Done", s.condition(v1alpha1.ConditionProfileSynced))
}

func TestDeletion(t *testing.T) {
	s := readyScene(t)
	now := metav1.NewTime(start)
	s.channel.DeletionTimestamp, s.channel.Generation = &now, 2
	e, err := document.NewEntry(document.EntryTombstone, "shop/bot", 2, "x")
	require.NoError(t, err)
	s.result.Entry = &e
	s.step(status.TerminatingStatus, "False/Deleting")
	require.Contains(t, s.channel.Status.Conditions[0].Message, "removed its webhook")
}

func TestWhatPodsSayIsBounded(t *testing.T) {
	s := newScene(t)
	s.load(1)
	s.row(func(r *document.ChannelStatus) {
		r.Credentials = &document.Duty{State: document.DutyFailed, Reason: "not a reason!", Message: strings.Repeat("ü", 4000) + "\xff"}
		r.Webhook = &document.Duty{State: document.DutyFailed, Reason: ""}
	})
	s.step(status.FailedStatus, "False/Unknown")
	for _, c := range s.channel.Status.Conditions {
		require.True(t, utf8.ValidString(c.Message))
		require.LessOrEqual(t, len(c.Message), MaxMessage)
	}
}

func TestUnsettledBridge(t *testing.T) {
	s := newScene(t)
	s.load(1)
	s.trouble = "it is suspended"
	s.compile("newer")
	s.doc = nil
	s.step(status.InProgressStatus, "False/BridgeNotReady")
	require.Contains(t, s.channel.Status.Conditions[0].Message, "it is suspended")
}

func TestDocumentBehindTheResultIsNotLoaded(t *testing.T) {
	s := newScene(t)
	s.load(1)
	written, pods := s.doc, s.pods
	s.compile("newer")
	s.doc, s.pods = written, pods // the write failed; the pods run what is written
	s.step(status.InProgressStatus, "False/NotLoaded")
}
