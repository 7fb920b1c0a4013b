package main

// severity of an alert, as Alertmanager routes it.
type severity string

const (
	critical severity = "critical" // customers are not heard or not answered: wake somebody
	warning  severity = "warning"  // somebody looks during the day
	info     severity = "info"     // nobody waits for it
)

// alert is one alerting rule. Its runbook is the section of RUNBOOK.md with its
// name as heading.
type alert struct {
	name     string
	severity severity
	// hold is how long it must be so before anybody is told.
	hold string
	expr string
	// summary is one line for the pager; labels of the expression may stand in it.
	summary string
}

// What scrapes whom: the PodMonitors beside the rules. Their jobs are named
// after their namespace, which people may choose.
const (
	manager = `job=~".+/bridgekeeper-manager"`
	pods    = `job=~".+/bridgekeeper-pods"`
	// whose is the Bridge or ConversationStore of a pod.
	whose = `by (namespace, app_kubernetes_io_instance)`
)

// conditions that have an alert of their own; BridgekeeperTrouble is for all others.
const ownAlert = "Ready|CredentialsValid|WebhookRegistered|Delivering|StoreReachable|DatabaseReachable|StorageLow|UpgradePending|ProfileSynced"

// trouble is the expression for one of a resource's conditions. Replicas of the
// operator that changed the lead may both be in the data for a moment: max.
func trouble(conditions string) string {
	return `max by (kind, namespace, name, condition, reason) (bridgekeeper_resource_trouble{condition=~"` + conditions + `"}) > 0`
}

// counted is the expression for a counter that should not count at all. A series
// that begins with its first count has no increase, so those that were not there
// before are looked at as well.
func counted(by, metric, window string) string {
	return `sum ` + by + ` (increase(` + metric + `[` + window + `])) > 0
or sum ` + by + ` (` + metric + ` unless ` + metric + ` offset ` + window + `) > 0`
}

type group struct {
	name   string
	alerts []alert
}

var groups = []group{
	{"bridgekeeper-operator", operatorAlerts},
	{"bridgekeeper-resources", resourceAlerts},
	{"bridgekeeper-bridge", bridgeAlerts},
	{"bridgekeeper-store", storeAlerts},
}

var operatorAlerts = []alert{
	{"BridgekeeperOperatorDown", warning, "10m",
		`absent(up{` + manager + `} == 1)`,
		"No operator has been seen for 10 minutes: messages flow, changes of manifests do not arrive."},
	{"BridgekeeperOperatorErrors", warning, "15m",
		`sum by (controller) (rate(controller_runtime_reconcile_errors_total{` + manager + `}[10m]))
  / sum by (controller) (rate(controller_runtime_reconcile_total{` + manager + `}[10m])) > 0.2`,
		"More than a fifth of what the controller {{ $labels.controller }} does fails."},
	// Certificates last for 30 days and are renewed after 20: then renewing has
	// failed, or has not arrived, for three days.
	{"BridgekeeperCertificateExpires", warning, "1h",
		expires("bridge") + "\nor " + expires("store"),
		"The certificate of the {{ $labels.app_kubernetes_io_component }} pods of {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} ends in less than a week and was not renewed."},
}

// expires is the expression for the certificates of one kind of pods.
func expires(component string) string {
	return `min by (namespace, app_kubernetes_io_component, app_kubernetes_io_instance) (bridgekeeper_` + component + `_certificate_expiry_timestamp_seconds) - time() < 7 * 86400`
}

var resourceAlerts = []alert{
	{"BridgekeeperNotReady", warning, "15m", trouble("Ready"),
		"{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} has not been Ready for 15 minutes: {{ $labels.reason }}."},
	{"BridgekeeperCredentialsRefused", critical, "5m", trouble("CredentialsValid"),
		"The platform refuses the credentials of {{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }}: {{ $labels.reason }}."},
	{"BridgekeeperWebhookNotRegistered", warning, "15m", trouble("WebhookRegistered"),
		"The platform does not send to the webhook of {{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }}: {{ $labels.reason }}."},
	{"BridgekeeperNotDelivering", warning, "15m", trouble("Delivering"),
		"Messages of {{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} are held up: {{ $labels.reason }}."},
	{"BridgekeeperStoreUnreachable", critical, "5m", trouble("StoreReachable|DatabaseReachable"),
		"{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} does not reach where conversations are kept ({{ $labels.condition }}): {{ $labels.reason }}."},
	{"BridgekeeperStorageLow", critical, "5m", trouble("StorageLow"),
		"The volume of {{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} is nearly full; when it is, messages are refused."},
	{"BridgekeeperUpgradeFailed", warning, "15m", trouble("UpgradePending"),
		"The upgrade of {{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} failed; the former version serves, and no further upgrade begins."},
	{"BridgekeeperProfileNotSynced", info, "1h", trouble("ProfileSynced"),
		"The public profile of {{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} is not as in its spec: {{ $labels.reason }}."},
	{"BridgekeeperTrouble", warning, "30m",
		`max by (kind, namespace, name, condition, reason) (bridgekeeper_resource_trouble{condition!~"` + ownAlert + `"}) > 0`,
		"{{ $labels.kind }} {{ $labels.namespace }}/{{ $labels.name }} has been in trouble for half an hour ({{ $labels.condition }}): {{ $labels.reason }}."},
}

var bridgeAlerts = []alert{
	{"BridgekeeperPodDown", warning, "10m", `up{` + pods + `} == 0`,
		"The metrics of {{ $labels.app_kubernetes_io_component }} pod {{ $labels.namespace }}/{{ $labels.pod }} cannot be read."},
	// A platform repeats what it got an error for, so a twentieth is a delay, not
	// a loss; more, for 5 minutes, and platforms begin to switch webhooks off.
	{"BridgekeeperWebhooksUnavailable", critical, "5m",
		`sum by (platform) (rate(bridgekeeper_bridge_webhook_requests_total{result=~"unavailable|refused|overloaded|panic"}[5m]))
  / sum by (platform) (rate(bridgekeeper_bridge_webhook_requests_total[5m])) > 0.05`,
		"More than 5 % of the webhooks of {{ $labels.platform }} are answered with an error of ours."},
	{"BridgekeeperWebhooksUnauthorized", warning, "15m",
		`sum by (namespace, channel) (rate(bridgekeeper_bridge_channel_webhook_requests_total{result="unauthorized"}[15m]))
  / sum by (namespace, channel) (rate(bridgekeeper_bridge_channel_webhook_requests_total[15m])) > 0.5
and sum by (namespace, channel) (rate(bridgekeeper_bridge_channel_webhook_requests_total{result="unauthorized"}[15m])) > 0.01`,
		"Most webhooks of Channel {{ $labels.namespace }}/{{ $labels.channel }} have a wrong signature."},
	{"BridgekeeperWebhooksLimited", warning, "10m",
		`sum by (namespace, channel) (rate(bridgekeeper_bridge_channel_webhook_requests_total{result="limited"}[5m])) > 0.1`,
		"Channel {{ $labels.namespace }}/{{ $labels.channel }} gets more webhooks than its limit lets in."},
	// The first platforms give up after 5 s (Messenger wants an answer in that time).
	{"BridgekeeperWebhooksSlow", warning, "10m",
		`histogram_quantile(0.99, sum by (le, platform) (rate(bridgekeeper_bridge_webhook_duration_seconds_bucket[5m]))) > 4`,
		"One webhook of {{ $labels.platform }} in a hundred is answered after more than 4 s; platforms give up soon after."},
	{"BridgekeeperIngestSlow", warning, "10m",
		`histogram_quantile(0.99, sum by (le, namespace, app_kubernetes_io_instance) (rate(bridgekeeper_bridge_ingest_duration_seconds_bucket[5m]))) > 1`,
		"Bridge {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} waits more than 1 s for its store to take messages in."},
	{"BridgekeeperElementsRefused", warning, "0m",
		counted(`by (platform, result)`, `bridgekeeper_bridge_ingest_elements_total{result=~"invalid|forbidden|unrouted"}`, "30m"),
		"Messages or receipts of {{ $labels.platform }} went into the raw journal only: {{ $labels.result }}."},
	{"BridgekeeperDocumentRefused", warning, "10m",
		`max ` + whose + ` (bridgekeeper_bridge_document_exceptions) > 0`,
		"Pods of Bridge {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} refuse a Channel of their document."},
	{"BridgekeeperSessionLost", warning, "10m",
		`sum ` + whose + ` (rate(bridgekeeper_bridge_session_failures_total[5m])) > 0`,
		"Bridge {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} cannot renew its session with the store: it polls and registers nothing."},
	// Refusals that are about one contact or one text are everyday life.
	{"BridgekeeperSendsFailing", warning, "15m",
		`sum by (platform) (rate(bridgekeeper_bridge_sends_total{outcome=~"retry|failed|unknown",class!~"RecipientGone|OutsideWindow|ContentRejected|RateLimited"}[15m]))
  / sum by (platform) (rate(bridgekeeper_bridge_sends_total[15m])) > 0.2`,
		"More than a fifth of what is sent to {{ $labels.platform }} fails."},
	{"BridgekeeperPanics", warning, "0m",
		counted(`by (namespace, app_kubernetes_io_instance, where)`, `bridgekeeper_bridge_panics_total`, "1h"),
		"A bug was caught in Bridge {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }}, in {{ $labels.where }}."},
}

var storeAlerts = []alert{
	{"BridgekeeperCommitsFailing", critical, "5m",
		`sum ` + whose + ` (rate(bridgekeeper_store_commits_total{outcome="failed"}[5m])) > 0`,
		"ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} cannot write; messages are refused meanwhile, and platforms repeat them."},
	{"BridgekeeperCommitsSlow", warning, "10m",
		`histogram_quantile(0.99, sum by (le, namespace, app_kubernetes_io_instance) (rate(bridgekeeper_store_commit_seconds_bucket[5m]))) > 0.5`,
		"ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} needs more than 0.5 s for a transaction."},
	// Shorter than most windows. What waits as it should is not in this metric.
	{"BridgekeeperMessagesWaiting", warning, "5m",
		`max ` + whose + ` (bridgekeeper_store_outbox_overdue_seconds) > 1800`,
		"Something could have been sent for more than half an hour, and was not, in ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }}."},
	{"BridgekeeperBreakersOpen", warning, "15m",
		`max ` + whose + ` (bridgekeeper_store_outbox_breakers) > 0`,
		"Sends of channels of ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} wait since their platform refuses them."},
	{"BridgekeeperUnknownOutcomes", warning, "0m",
		counted(whose, `bridgekeeper_store_outbox_messages_total{status="unknown"}`, "1h"),
		"Nobody knows of messages of ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} whether they were sent; a person has to decide."},
	{"BridgekeeperRESTErrors", warning, "10m",
		`sum ` + whose + ` (rate(bridgekeeper_store_rest_requests_total{code=~"5.."}[5m]))
  / sum ` + whose + ` (rate(bridgekeeper_store_rest_requests_total[5m])) > 0.05`,
		"More than 5 % of the REST requests to ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} end in an error of the server."},
	// Three days: over a weekend.
	{"BridgekeeperStorageFullSoon", warning, "1h",
		`predict_linear(bridgekeeper_store_storage_free_bytes[6h], 3 * 86400) < 0
and bridgekeeper_store_storage_free_bytes / bridgekeeper_store_storage_size_bytes < 0.3`,
		"The volume of ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} will be full within three days."},
	{"BridgekeeperBackupOld", warning, "1h",
		`time() - max ` + whose + ` (bridgekeeper_store_backup_timestamp_seconds > 0) > 2 * 86400`,
		"The last backup of ConversationStore {{ $labels.namespace }}/{{ $labels.app_kubernetes_io_instance }} is more than two days old."},
}
