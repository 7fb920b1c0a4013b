// Package compile turns resources into the documents that pods load. It is
// pure: the same snapshot, options and moment give the same result, whatever
// the order of the lists, and nothing is read or written.
//
//	ConversationStores, Bridges, Channels  ┐              ┌► a document per Bridge
//	RoutingPolicies, SurveyCampaigns …     │              │
//	labelled Secrets, namespace labels     ├─► Compile ──►├► a document per ConversationStore
//	previous documents, what pods confirm  │   (now)      ├► findings: what is wrong, where, the way out
//	                                       ┘              └► what was resolved, for status; defaults to create
//
// Decisions are ordered checks func(*channelInput) *Finding (channel_checks.go
// and its neighbours). There is one list per condition, and the first finding
// of each list counts, so that a person sees all that is wrong at once and each
// thing in the order in which it must be repaired.
//
// # What is decided here
//
// Last good version. A Channel that is served goes on with the credentials it
// had while its Secret is broken or gone, and with its whole last entry while
// its spec is invalid; the finding is reported. A new one is left out. What a
// person took away on purpose is gone at once: a permission, a reference, an
// API token whose Secret is deleted or loses its label.
//
// Waiting. To a store, a Channel that its document does not name is deleted, and
// what is queued for it is cancelled for good. So a Channel that is there and
// leads into no store now (its Bridge is gone for a moment, a reference has a typing
// error, an allow-list was narrowed) stays in the document of the store that it
// had, suspended: nothing is sent, everything queued waits. For a day the store
// also refuses what its former Bridge receives for the account (document field
// awayUntil), so that the platform repeats it. A Channel that is served in
// another store, or whose account another Channel has, does not wait.
//
// Claims. One (platform, account) belongs to one Channel of the cluster: the one
// that is accepted already, else the oldest, else the first by
// namespace/name. A Channel that is being deleted keeps its claim while its
// webhook is still to be removed (a tombstone), at most the five minutes that
// the operator gives that duty. So no successor registers before the removal
// is over, and the removal cannot undo the successor's registration, whatever
// the platform is able to compare.
//
// Apps. Where a platform sends to one URL per app, an app belongs to one Bridge:
// the one that serves a Channel of it already (or still owes the removal of its
// webhook), else that of the oldest Channel. A Channel of the app on another
// Bridge is left out and told so. Its secrets belong to the app: a Channel whose
// Secret has others than the oldest one's is served, and told so. The tombstone
// of an app's last Channel says that the app's own subscription goes with it.
//
// Databases. What the pods of a postgres store connect with is no part of the
// document, which has a stamp of it only. While the Secret is missing or cannot
// be right, the pods keep what they have.
//
// Rotation. Inbound requests verify with rotated-out credentials for
// credentials.overlap (24h; 0s drops them all at once). Where an app has several
// Channels, the entry also tells for how long the others may be without the app's
// new secret, whatever the overlap is: what is signed with it and is for them is
// asked for again meanwhile. API tokens have no
// overlap: a bearer token is rotated because it leaked, or smoothly by naming
// two tokens for a while.
//
// Registration. A document entry says RegisterWebhook once every serving pod
// has confirmed the entry without it. It stays while what the registration
// depends on (URL, account, credentials) stays, so other changes and new pods
// do not interrupt it. A Channel without the finalizer waits for it: deleted, it
// would be gone with its webhook registered. The entry says Registered as soon as a pod's word, or the status
// that repeats it, was that the platform had the webhook: a pod that starts later
// must know that another URL there is somebody else's doing. FormerWebhookURL is
// what was registered and is wanted no more: whoever fetches the messages instead
// removes it, and so does the tombstone of a Channel that goes before that.
//
// Routing. A RoutingPolicy goes into the documents of the stores behind its
// Channels, with its webhooks apart from it; AgentQueues and Bots into the store
// that they name; a Schedule into every store in which something names it. The
// packages bridge/routing, bot and schedule say what is wrong with a spec and what
// follows; here it is found out what is there, in which store, and who may. A
// policy is compiled against what its namespace has, wherever that is (the
// policy's own findings), and against each store (findings of single Channels:
// a queue of another store). The entry of a Channel names its policies in order,
// so that a store is never asked to decide by one that the Channel does not let in.
//
// Surveys. A SurveyCampaign goes into the store that it names, if all Channels that
// it asks on are in that store's document, and package survey finds nothing wrong:
// half a measurement is none. Otherwise the version before stays, if that still
// has all that it names. spec.suspend is in force in both cases.
//
// Who may. A Channel lets campaigns in (allowedCampaigns, by namespace) and policies (allowedPolicies, by namespace up to a
// priority). A store takes AgentQueues, Bots and campaigns of the namespaces that its
// allowedBridges names, and of those whose Channels it has: their conversations are
// there already. Everything else is named within one namespace.
//
// Cross-namespace references have the same finding whether the target does
// not exist or does not let the referrer in.
package compile
