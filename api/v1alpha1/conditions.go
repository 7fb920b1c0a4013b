package v1alpha1

// Condition types. Ready, Reconciling and Stalled follow kstatus: Reconciling
// and Stalled are present only while they are true.
const (
	// ConditionReady: this generation is accepted, resolved and loaded by every
	// Ready serving pod. It stays true for its generation whatever the platform,
	// a rollout or a lost node does.
	ConditionReady = "Ready"
	// ConditionReconciling: work for this generation goes on.
	ConditionReconciling = "Reconciling"
	// ConditionStalled: nothing more happens until somebody changes something.
	ConditionStalled = "Stalled"
	// ConditionAccepted: the spec is valid and the resource may be what it says.
	ConditionAccepted = "Accepted"
	// ConditionResolvedRefs: everything that the spec names exists and is allowed.
	ConditionResolvedRefs = "ResolvedRefs"
	// ConditionCredentialsValid: the platform accepts the credentials.
	ConditionCredentialsValid = "CredentialsValid"
	// ConditionWebhookRegistered: the platform sends to status.webhookURL.
	ConditionWebhookRegistered = "WebhookRegistered"
	// ConditionProfileSynced: the public profile at the platform is as in the spec.
	ConditionProfileSynced = "ProfileSynced"
	// ConditionDelivering: messages can be sent and, where polled, fetched.
	ConditionDelivering = "Delivering"
	// ConditionStoreReachable: the bridge pods reach their store.
	ConditionStoreReachable = "StoreReachable"
	// ConditionStorageLow: the store's volume is nearly full; present only while true.
	ConditionStorageLow = "StorageLow"
	// ConditionDatabaseReachable: the pods of a postgres store reach their database.
	ConditionDatabaseReachable = "DatabaseReachable"
	// ConditionUpgradePending: the pods run another version than the operator's;
	// the reason says what the upgrade waits for. Present only while true, and
	// beside Ready: what runs goes on serving.
	ConditionUpgradePending = "UpgradePending"
	// ConditionProgrammed: every serving pod of every store that needs it has
	// loaded this generation of a RoutingPolicy or a SurveyCampaign.
	ConditionProgrammed = "Programmed"
	// ConditionPartiallyInvalid: rules of a RoutingPolicy are left out; present
	// only while true.
	ConditionPartiallyInvalid = "PartiallyInvalid"
	// ConditionConflicted: another RoutingPolicy of a Channel has the same
	// priority, so that the names decide; present only while true.
	ConditionConflicted = "Conflicted"
	// ConditionLooping: a RoutingPolicy moved a conversation too often within an
	// hour, and holds it in the default route; present only while true, which is for
	// an hour.
	ConditionLooping = "Looping"
	// ConditionStaffed: an AgentQueue is open at some time, and has agents who can take
	// conversations.
	ConditionStaffed = "Staffed"
	// ConditionSampling: a SurveyCampaign asks contacts now; if not, the reason
	// says why.
	ConditionSampling = "Sampling"
	// ConditionSufficientData: each group that a SurveyCampaign compares (without
	// a comparison: all together) has analysis.minPerGroup answers.
	ConditionSufficientData = "SufficientData"
	// ConditionSampleRatioOK: the arms of a SurveyCampaign have the sizes that
	// were drawn. If not, something is wrong with the assignment or with what is
	// kept of it, and no verdict is given.
	ConditionSampleRatioOK = "SampleRatioOK"
	// ConditionThrottled: cool-downs keep most of those that a SurveyCampaign drew
	// from being asked, as campaigns compete for the same people; present only
	// while true.
	ConditionThrottled = "Throttled"
)

// Condition reasons. One word per idea, shared by all kinds.
const (
	ReasonReady       = "Ready"
	ReasonProgressing = "Progressing"
	ReasonSuspended   = "Suspended"
	ReasonDeleting    = "Deleting"
	ReasonAccepted    = "Accepted"
	ReasonResolved    = "Resolved"

	// ReasonInvalidSpec: a field is wrong in a way that the schema cannot say.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonAccountClaimed: another Channel has this platform account.
	ReasonAccountClaimed = "AccountClaimed"
	// ReasonAppOnOtherBridge: the app has one webhook URL, and Channels of
	// another Bridge have it.
	ReasonAppOnOtherBridge = "AppOnOtherBridge"
	// ReasonRefNotPermitted: the reference does not lead anywhere that lets this
	// namespace in. Deliberately the same whether the target exists or not.
	ReasonRefNotPermitted = "RefNotPermitted"
	// ReasonRefNotFound: a resource in the referrer's own namespace is not there.
	ReasonRefNotFound = "RefNotFound"
	// ReasonSecretNotUsable: the Secret is not there or lacks the label; the same for both.
	ReasonSecretNotUsable = "SecretNotUsable"
	// ReasonSecretKeyMissing: the Secret has no value under a required key.
	ReasonSecretKeyMissing = "SecretKeyMissing"
	// ReasonSecretValueInvalid: a value in the Secret cannot be right.
	ReasonSecretValueInvalid = "SecretValueInvalid"
	// ReasonBridgeNotReady: the Bridge itself does not work yet.
	ReasonBridgeNotReady = "BridgeNotReady"
	// ReasonStoreNotReady: the ConversationStore itself does not work yet.
	ReasonStoreNotReady = "StoreNotReady"
	// ReasonNotLoaded: pods have not confirmed this generation yet.
	ReasonNotLoaded = "NotLoaded"
	// ReasonLoadFailed: pods refuse this generation; the message says why.
	ReasonLoadFailed = "LoadFailed"
	// ReasonNoPublicURL: the Bridge has no spec.publicURL to register.
	ReasonNoPublicURL = "NoPublicURL"
	// ReasonPolling: messages are fetched, so no webhook is registered.
	ReasonPolling = "Polling"
	// ReasonNoProfile: the spec asks for no profile; the platform's is left alone.
	ReasonNoProfile = "NoProfile"
	// ReasonNotAttempted: it was not tried yet for this generation.
	ReasonNotAttempted = "NotAttempted"
	// ReasonDone: the platform is as desired.
	ReasonDone = "Done"
	// ReasonTakenOver: somebody else changed the registration; it is not fought over.
	ReasonTakenOver = "TakenOver"
	// ReasonAuthInvalid: the platform refuses the credentials.
	ReasonAuthInvalid = "AuthInvalid"
	// ReasonMisconfigured: the platform says that something is set up wrongly.
	ReasonMisconfigured = "Misconfigured"
	// ReasonUnreachable: the other side does not answer.
	ReasonUnreachable = "Unreachable"
	// ReasonNotDelivered: the webhook is registered as desired, but the platform
	// says that it cannot deliver messages to it.
	ReasonNotDelivered = "NotDelivered"
	// ReasonRateLimited: the platform asks to slow down.
	ReasonRateLimited = "RateLimited"
	// ReasonUnknown: a pod of another version gave a reason that this one
	// cannot use.
	ReasonUnknown = "Unknown"
	// ReasonRolloutFailed: the workload does not come up.
	ReasonRolloutFailed = "RolloutFailed"
	// ReasonDSNNotUsable: the database's address or password was changed to one
	// that does not work; the former is still in use.
	ReasonDSNNotUsable = "DSNNotUsable"
	// ReasonWaitingForStore: a Bridge is upgraded after its ConversationStore.
	ReasonWaitingForStore = "WaitingForStore"
	// ReasonWaitingForTurn: a few at a time are upgraded, and it is not this one's turn.
	ReasonWaitingForTurn = "WaitingForTurn"
	// ReasonUpgradeHalted: the upgrade of another Bridge or ConversationStore
	// failed, and no further one begins.
	ReasonUpgradeHalted = "UpgradeHalted"
	// ReasonConflict: an object of the name that is needed belongs to somebody else.
	ReasonConflict = "Conflict"
	// ReasonGatewayAPIMissing: an HTTPRoute is asked for, and the cluster has no
	// Gateway API.
	ReasonGatewayAPIMissing = "GatewayAPIMissing"
	// ReasonRouteNotAccepted: the Gateway does not let the HTTPRoute in.
	ReasonRouteNotAccepted = "RouteNotAccepted"
	// ReasonInUse: deletion waits for the resources that use this one.
	ReasonInUse = "InUse"
	// ReasonNotAttached: no Channel is named or chosen, so that nothing is routed.
	ReasonNotAttached = "NotAttached"
	// ReasonProgrammed: every serving pod has loaded it.
	ReasonProgrammed = "Programmed"
	// ReasonPartiallyProgrammed: some of the Channels are routed by it, and some
	// are not yet, or not at all.
	ReasonPartiallyProgrammed = "PartiallyProgrammed"
	// ReasonChannelNotReady: the Channel itself is not served.
	ReasonChannelNotReady = "ChannelNotReady"
	// ReasonStoreMismatch: an AgentQueue or a Bot belongs to another
	// ConversationStore than the Channel.
	ReasonStoreMismatch = "StoreMismatch"
	// ReasonBackendNotFound: a backend of a RoutingPolicy is not there or not
	// valid; the message says what happens to its share.
	ReasonBackendNotFound = "BackendNotFound"
	// ReasonScheduleNotFound: a Schedule is not there or not valid.
	ReasonScheduleNotFound = "ScheduleNotFound"
	// ReasonInvalidExpression: CEL that does not compile, or can cost too much.
	ReasonInvalidExpression = "InvalidExpression"
	// ReasonNoDefaultRoute: a RoutingPolicy without a default route.
	ReasonNoDefaultRoute = "NoDefaultRoute"
	// ReasonConflicted: two RoutingPolicies of one Channel have one priority.
	ReasonConflicted = "Conflicted"
	// ReasonShadowed: earlier rules take all that this one would match.
	ReasonShadowed = "Shadowed"
	// ReasonEgressNotAllowed: the ConversationStore has no spec.egress, so its pods
	// call no webhooks.
	ReasonEgressNotAllowed = "EgressNotAllowed"
	// ReasonStaffed: agents of the AgentQueue are there. A store that reports
	// trouble gives reasons of its own: ScheduleOver, NoAgents, NoCapacity, NoSkills,
	// NobodyOnline; and of a RoutingPolicy: RoutingLoop.
	ReasonStaffed = "Staffed"
	// ReasonNoScoreQuestion: a SurveyCampaign whose first question is no score.
	ReasonNoScoreQuestion = "NoScoreQuestion"
	// ReasonMissingTranslation: a text is not there in a language that is offered.
	ReasonMissingTranslation = "MissingTranslation"
	// ReasonOverlappingArms: a difference between two arms could not be seen, or
	// not be attributed.
	ReasonOverlappingArms = "OverlappingArms"
	// ReasonWindowInPast: the window of a new SurveyCampaign is over.
	ReasonWindowInPast = "WindowInPast"
	// ReasonChannelNotFound: a Channel is not there.
	ReasonChannelNotFound = "ChannelNotFound"
	// ReasonChannelCannotAsk: nobody could be asked on a Channel: it only receives,
	// or its platform's messaging window is over by then.
	ReasonChannelCannotAsk = "ChannelCannotAsk"
	// ReasonQueueNotFound: an AgentQueue is not there, or not in force in the store.
	ReasonQueueNotFound = "QueueNotFound"
	// ReasonRunning: a SurveyCampaign asks.
	ReasonRunning = "Running"
	// ReasonNotStarted: the window of a SurveyCampaign has not begun.
	ReasonNotStarted = "NotStarted"
	// ReasonOutsideWindow: the window of a SurveyCampaign is over.
	ReasonOutsideWindow = "OutsideWindow"
	// ReasonStopRuleReached: a stop rule ended a SurveyCampaign.
	ReasonStopRuleReached = "StopRuleReached"
	// ReasonEnoughAnswers: the groups of a SurveyCampaign are large enough.
	ReasonEnoughAnswers = "EnoughAnswers"
	// ReasonTooFewAnswers: they are not, yet.
	ReasonTooFewAnswers = "TooFewAnswers"
	// ReasonNoArms: a SurveyCampaign asks in one way only.
	ReasonNoArms = "NoArms"
	// ReasonNobodyAssigned: nobody was drawn into the arms of a SurveyCampaign yet.
	ReasonNobodyAssigned = "NobodyAssigned"
	// ReasonAsDrawn: the arms of a SurveyCampaign have the sizes that were drawn.
	ReasonAsDrawn = "AsDrawn"
	// ReasonSampleRatioMismatch: they have not.
	ReasonSampleRatioMismatch = "SampleRatioMismatch"
	// ReasonMostlyThrottled: more than half of those drawn were asked too lately.
	ReasonMostlyThrottled = "MostlyThrottled"
	// ReasonDocumentTooLarge: more channels than fit in a Bridge's document.
	ReasonDocumentTooLarge = "DocumentTooLarge"
)

// Event reasons that are not condition reasons.
const (
	EventWebhookLeftRegistered = "WebhookLeftRegistered"
	EventCredentialsRotated    = "CredentialsRotated"
	EventDriftRepaired         = "DriftRepaired"
	// EventStoreChanged: a Channel is in another ConversationStore than before.
	EventStoreChanged = "StoreChanged"
)
