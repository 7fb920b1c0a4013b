// Package conditions turns findings, what pods confirm, and the state of
// workloads into the status of each kind. It is pure.
//
//	compile.Result ─┐
//	fleet.Fleet ────┼─► Channel, Bridge, Store … ─► status (+ when to look again)
//	workload facts ─┤                                 │
//	status before ──┘                    Diff ────────┴──► Events, on change only
//
// Check asserts the rules below for any object; every controller test runs it.
//
// # Rules
//
// kstatus: Reconciling and Stalled are present only while true, and never
// both. Ready is always present. With Ready=True neither is present; with
// Ready=False exactly one is, and Ready tells the same reason (while
// reconciling is suspended, none may be). So kstatus says Current, InProgress
// and Failed.
//
// Latch: once Ready is True for a generation it stays True for it, whatever
// pods, nodes, rollouts and platforms do. It is lost only
//
//   - with a new generation;
//   - by a terminal finding about the spec or the Secret, once its grace is over
//     (a Secret that is deleted and made again within 30 s does no harm);
//   - when every serving pod refuses the entry;
//   - when the first probe of the credentials fails definitively: until
//     CredentialsValid was True or False once, Ready was given on credit.
//
// Ready does not wait for a platform that cannot be reached, only a moment
// (FirstProbe) for the first answer of one that can: a wrong token should not
// flash Ready=True.
//
// UpgradePending is present only while pods are to get another version, and
// stands beside Ready: what runs serves its generation.
//
// Programmed is per Channel of a RoutingPolicy, and latched like Ready for its
// generation and store: it turns true when every serving pod of the store has
// loaded the policy, its webhooks, and the Channel that names it. The policy's own
// is true when all of its Channels' are. PartiallyInvalid and Conflicted are present
// only while true. Staffed is the store's word, which knows the agents.
//
// A SurveyCampaign's Programmed is latched likewise. Sampling, SufficientData,
// SampleRatioOK and Throttled (present only while true) are the store's word, which
// asks and counts. They stay as they were while its pods say nothing, and so do the
// numbers; none of those is of fewer than five people.
//
// A condition about the platform keeps its last value while nothing newer is
// known (a pod restarts, a new version of the entry is being loaded, the
// platform cannot be asked), so that it does not flap with the pods.
package conditions
