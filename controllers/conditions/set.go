package conditions

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/compile"
)

// MaxMessage bounds a condition's message in bytes. The API allows 32 768;
// people read a line or two, and ten thousand Channels stand in etcd.
const MaxMessage = 1024

// order is how conditions stand in status: what matters first.
var order = []string{
	v1alpha1.ConditionReady,
	v1alpha1.ConditionReconciling,
	v1alpha1.ConditionStalled,
	v1alpha1.ConditionAccepted,
	v1alpha1.ConditionPartiallyInvalid,
	v1alpha1.ConditionResolvedRefs,
	v1alpha1.ConditionProgrammed,
	v1alpha1.ConditionConflicted,
	v1alpha1.ConditionLooping,
	v1alpha1.ConditionStaffed,
	v1alpha1.ConditionSampling,
	v1alpha1.ConditionSufficientData,
	v1alpha1.ConditionSampleRatioOK,
	v1alpha1.ConditionThrottled,
	v1alpha1.ConditionCredentialsValid,
	v1alpha1.ConditionWebhookRegistered,
	v1alpha1.ConditionProfileSynced,
	v1alpha1.ConditionDelivering,
	v1alpha1.ConditionStoreReachable,
	v1alpha1.ConditionDatabaseReachable,
	v1alpha1.ConditionStorageLow,
	v1alpha1.ConditionUpgradePending,
}

// set builds the conditions of one object from those before.
type set struct {
	before     []metav1.Condition
	generation int64
	now        time.Time
	after      map[string]metav1.Condition
	recheck    time.Duration
}

func newSet(before []metav1.Condition, generation int64, now time.Time) *set {
	// Status keeps seconds; a time that is cut only when it is written would
	// differ from itself read back.
	return &set{before: before, generation: generation, now: now.Truncate(time.Second), after: map[string]metav1.Condition{}}
}

// put sets a condition. Its time changes with its status only.
func (s *set) put(typ string, status metav1.ConditionStatus, reason, message string) {
	if reason = cleanReason(reason); message == "" {
		message = reason // a message is for people; empty ones look like a mistake
	}
	c := metav1.Condition{
		Type: typ, Status: status, ObservedGeneration: s.generation,
		LastTransitionTime: metav1.NewTime(s.now), Reason: reason, Message: clip(message),
	}
	if old := s.was(typ); old != nil && old.Status == status {
		c.LastTransitionTime = old.LastTransitionTime
	}
	s.after[typ] = c
}

// keep leaves a condition as it was, with the generation that it spoke of.
func (s *set) keep(typ string) {
	if old := s.was(typ); old != nil {
		s.after[typ] = *old
	}
}

func (s *set) was(typ string) *metav1.Condition { return meta.FindStatusCondition(s.before, typ) }

func (s *set) wasStatus(typ string) metav1.ConditionStatus {
	if old := s.was(typ); old != nil {
		return old.Status
	}
	return ""
}

// for how long a condition has had the status that it has now; 0 when it just
// got it.
func (s *set) age(typ string) time.Duration {
	c, ok := s.after[typ]
	if !ok {
		return 0
	}
	return s.now.Sub(c.LastTransitionTime.Time)
}

// lookAgain asks for another look after d.
func (s *set) lookAgain(d time.Duration) {
	if s.recheck == 0 || d < s.recheck {
		s.recheck = max(d, time.Second)
	}
}

// list is the result in its order.
func (s *set) list() []metav1.Condition {
	out := make([]metav1.Condition, 0, len(s.after))
	for _, typ := range order {
		if c, ok := s.after[typ]; ok {
			out = append(out, c)
		}
	}
	return out
}

// findings puts Accepted and ResolvedRefs: false with all that is wrong, the
// first one's reason in front.
func (s *set) findings(findings []compile.Finding) {
	s.judge(v1alpha1.ConditionAccepted, v1alpha1.ReasonAccepted, "the spec is valid", findings)
	s.judge(v1alpha1.ConditionResolvedRefs, v1alpha1.ReasonResolved, "everything that the spec names is there and may be used", findings)
}

func (s *set) judge(typ, reason, message string, findings []compile.Finding) {
	about := of(findings, typ)
	if len(about) == 0 {
		s.put(typ, metav1.ConditionTrue, reason, message)
		return
	}
	s.put(typ, metav1.ConditionFalse, about[0].Reason, join(about))
}

func of(findings []compile.Finding, typ string) []compile.Finding {
	var about []compile.Finding
	for _, f := range findings {
		if f.Condition == typ {
			about = append(about, f)
		}
	}
	return about
}

func join(findings []compile.Finding) string {
	messages := make([]string, len(findings))
	for i, f := range findings {
		messages[i] = f.Message
	}
	return strings.Join(messages, "; ")
}

// validReason is what the API server accepts (metav1.Condition).
var validReason = regexp.MustCompile(`^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$`)

// cleanReason guards the status update against a pod of another version that
// reports what is no reason.
func cleanReason(reason string) string {
	if len(reason) > 128 || !validReason.MatchString(reason) {
		return v1alpha1.ReasonUnknown
	}
	return reason
}

// clip bounds a message without breaking a character.
func clip(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) <= MaxMessage {
		return message
	}
	cut := MaxMessage - len("…")
	for !utf8.RuneStart(message[cut]) {
		cut--
	}
	return message[:cut] + "…"
}
