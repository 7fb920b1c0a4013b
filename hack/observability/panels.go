package main

// Units of Grafana.
const (
	seconds   = "s"
	bytesUnit = "bytes"
	perSecond = "reqps"
	number    = "short"
)

// query is one line of a panel, or several, one for each combination of the
// legend's labels.
type query struct{ expr, legend string }

// panel answers one question.
type panel struct {
	title, unit string
	// kind is Grafana's panel type: timeseries, stat or table.
	kind string
	// width of the 24 columns.
	width   int
	queries []query
}

type row struct {
	title  string
	panels []panel
}

// of narrows a metric down to what the dashboard's variables choose.
const of = `namespace=~"$namespace"`

// whichPods narrows a pod's metric down to the chosen Bridges and stores.
const whichPods = of + `,app_kubernetes_io_instance=~"$instance"`

func rate(metric, by string) string {
	return `sum by (` + by + `) (rate(` + metric + `{` + whichPods + `}[$__rate_interval]))`
}

// each is a metric of each pod.
func each(metric string) string { return metric + `{` + whichPods + `}` }

func quantile(q, metric, by string) string {
	return `histogram_quantile(` + q + `, sum by (le, ` + by + `) (rate(` + metric + `_bucket{` + whichPods + `}[$__rate_interval])))`
}

func lines(title, unit string, queries ...query) panel {
	return panel{title: title, unit: unit, kind: "timeseries", width: 8, queries: queries}
}

var rows = []row{
	{"What is wrong now", []panel{
		{title: "Resources that are not Ready", unit: number, kind: "stat", width: 4, queries: []query{
			{`sum(max by (kind) (bridgekeeper_resources{ready!="True"}))`, "not Ready"},
		}},
		{title: "Oldest message that waits", unit: seconds, kind: "stat", width: 4, queries: []query{
			{`max(bridgekeeper_store_outbox_oldest_queued_age_seconds{` + whichPods + `})`, "for whatever reason"},
			{`max(bridgekeeper_store_outbox_overdue_seconds{` + whichPods + `})`, "though it could be sent"},
		}},
		{title: "Breakers open", unit: number, kind: "stat", width: 4, queries: []query{
			{`sum(max by (namespace, app_kubernetes_io_instance) (bridgekeeper_store_outbox_breakers{` + whichPods + `}))`, "channels"},
		}},
		{title: "Trouble by resource", unit: number, kind: "table", width: 12, queries: []query{
			{`max by (kind, namespace, name, condition, reason) (bridgekeeper_resource_trouble{` + of + `})`, ""},
		}},
	}},
	{"Coming in", []panel{
		lines("Webhooks by result", perSecond, query{rate("bridgekeeper_bridge_webhook_requests_total", "platform, result"), "{{platform}} {{result}}"}),
		lines("Time to answer a webhook", seconds,
			query{quantile("0.5", "bridgekeeper_bridge_webhook_duration_seconds", "platform"), "{{platform}} p50"},
			query{quantile("0.99", "bridgekeeper_bridge_webhook_duration_seconds", "platform"), "{{platform}} p99"}),
		lines("Time of the store to take in", seconds,
			query{quantile("0.99", "bridgekeeper_bridge_ingest_duration_seconds", "app_kubernetes_io_instance, result"), "{{app_kubernetes_io_instance}} {{result}} p99"}),
		lines("Messages and receipts, by what became of them", perSecond, query{rate("bridgekeeper_bridge_ingest_elements_total", "platform, result"), "{{platform}} {{result}}"}),
		lines("Channels with the most webhooks", perSecond,
			query{`topk(10, sum by (namespace, channel) (rate(bridgekeeper_bridge_channel_webhook_requests_total{` + of + `}[$__rate_interval])))`, "{{namespace}}/{{channel}}"}),
		lines("Failed fetches", perSecond, query{rate("bridgekeeper_bridge_connection_errors_total", "platform, reason"), "{{platform}} {{reason}}"}),
	}},
	{"Going out", []panel{
		lines("Sends by outcome", perSecond, query{rate("bridgekeeper_bridge_sends_total", "platform, outcome, class"), "{{platform}} {{outcome}} {{class}}"}),
		lines("Time of a platform to take a message", seconds,
			query{quantile("0.5", "bridgekeeper_bridge_send_duration_seconds", "platform"), "{{platform}} p50"},
			query{quantile("0.99", "bridgekeeper_bridge_send_duration_seconds", "platform"), "{{platform}} p99"}),
		lines("Channels with the most failures", perSecond,
			query{`topk(10, sum by (namespace, channel, outcome) (rate(bridgekeeper_bridge_channel_sends_total{` + of + `,outcome!="sent"}[$__rate_interval])))`, "{{namespace}}/{{channel}} {{outcome}}"}),
		lines("Messages that wait", number, query{`max by (namespace, app_kubernetes_io_instance) (bridgekeeper_store_outbox_queued{` + whichPods + `})`, "{{namespace}}/{{app_kubernetes_io_instance}}"}),
		lines("Lanes", number, query{`max by (namespace, app_kubernetes_io_instance, state) (bridgekeeper_store_outbox_lanes{` + whichPods + `})`, "{{namespace}}/{{app_kubernetes_io_instance}} {{state}}"}),
		lines("Messages by the status that they reached", perSecond, query{rate("bridgekeeper_store_outbox_messages_total", "status"), "{{status}}"}),
		lines("Leases that ended in silence", perSecond, query{rate("bridgekeeper_store_outbox_leases_expired_total", "namespace, app_kubernetes_io_instance"), "{{namespace}}/{{app_kubernetes_io_instance}}"}),
		lines("Probes, registrations, profiles", perSecond, query{rate("bridgekeeper_bridge_duties_total", "platform, duty, state"), "{{platform}} {{duty}} {{state}}"}),
	}},
	{"Store", []panel{
		lines("Transactions", perSecond, query{rate("bridgekeeper_store_commits_total", "namespace, app_kubernetes_io_instance, outcome"), "{{namespace}}/{{app_kubernetes_io_instance}} {{outcome}}"}),
		lines("Time of a transaction", seconds,
			query{quantile("0.5", "bridgekeeper_store_commit_seconds", "namespace, app_kubernetes_io_instance"), "{{namespace}}/{{app_kubernetes_io_instance}} p50"},
			query{quantile("0.99", "bridgekeeper_store_commit_seconds", "namespace, app_kubernetes_io_instance"), "{{namespace}}/{{app_kubernetes_io_instance}} p99"}),
		lines("Room left on the volume", bytesUnit, query{`min by (namespace, app_kubernetes_io_instance) (bridgekeeper_store_storage_free_bytes{` + whichPods + `})`, "{{namespace}}/{{app_kubernetes_io_instance}}"}),
		lines("REST requests by code", perSecond, query{rate("bridgekeeper_store_rest_requests_total", "code"), "{{code}}"}),
		lines("Time to answer REST", seconds, query{quantile("0.99", "bridgekeeper_store_rest_request_duration_seconds", "method, route"), "{{method}} {{route}} p99"}),
		lines("Event streams", number, query{`sum by (namespace, app_kubernetes_io_instance) (bridgekeeper_store_rest_event_streams{` + whichPods + `})`, "{{namespace}}/{{app_kubernetes_io_instance}}"}),
		lines("Attachments", perSecond, query{rate("bridgekeeper_store_media_total", "result"), "{{result}}"}),
		lines("Since the last backup", seconds, query{`time() - max by (namespace, app_kubernetes_io_instance) (bridgekeeper_store_backup_timestamp_seconds{` + whichPods + `} > 0)`, "{{namespace}}/{{app_kubernetes_io_instance}}"}),
		lines("Sessions that could not be renewed", perSecond, query{rate("bridgekeeper_bridge_session_failures_total", "namespace, app_kubernetes_io_instance"), "{{namespace}}/{{app_kubernetes_io_instance}}"}),
	}},
	{"Routing and queues", []panel{
		lines("Decisions", perSecond, query{rate("bridgekeeper_routing_decisions_total", "policy, rule, action"), "{{policy}} {{rule}} {{action}}"}),
		lines("What followed them", perSecond, query{rate("bridgekeeper_routing_errands_total", "kind, result"), "{{kind}} {{result}}"}),
		lines("Bots and webhooks that do not answer", number,
			query{`max by (namespace, app_kubernetes_io_instance) (bridgekeeper_routing_breakers{` + whichPods + `})`, "{{namespace}}/{{app_kubernetes_io_instance}}"},
			query{rate("bridgekeeper_routing_expression_errors_total", "policy"), "{{policy}}: expressions that fail, a second"}),
		lines("Conversations that wait", number, query{`max by (queue) (bridgekeeper_store_queue_depth{` + whichPods + `})`, "{{queue}}"}),
		lines("Longest wait", seconds, query{`max by (queue) (bridgekeeper_store_queue_oldest_wait_seconds{` + whichPods + `})`, "{{queue}}"}),
		lines("Agents", number, query{`max by (queue, state) (bridgekeeper_store_queue_agents{` + whichPods + `})`, "{{queue}} {{state}}"}),
		lines("Given to agents", perSecond, query{rate("bridgekeeper_store_queue_given_total", "queue"), "{{queue}}"}),
		lines("Offers that are over", perSecond, query{rate("bridgekeeper_store_queue_offers_total", "queue, result"), "{{queue}} {{result}}"}),
		lines("Time to give", seconds, query{quantile("0.99", "bridgekeeper_store_queue_drain_seconds", "namespace, app_kubernetes_io_instance"), "{{namespace}}/{{app_kubernetes_io_instance}} p99"}),
		lines("Changes of owner", perSecond,
			query{rate("bridgekeeper_store_owner_changes_total", "cause"), "{{cause}}"},
			query{rate("bridgekeeper_store_owner_stale_total", "verb"), "too late: {{verb}}"}),
	}},
	{"Surveys", []panel{
		lines("Contacts considered, by where it ended", perSecond, query{`max by (campaign, exit) (rate(bridgekeeper_survey_decisions_total{` + whichPods + `}[$__rate_interval]))`, "{{campaign}} {{exit}}"}),
		lines("Questions, by what has become of them", number, query{`max by (campaign, outcome) (bridgekeeper_survey_questions{` + whichPods + `})`, "{{campaign}} {{outcome}}"}),
		lines("Score with its interval", number, query{`max by (campaign, bound) (bridgekeeper_survey_score{` + whichPods + `})`, "{{campaign}} {{bound}}"}),
		lines("Contacts that wait to be asked", number, query{`max by (campaign) (bridgekeeper_survey_pending{` + whichPods + `})`, "{{campaign}}"}),
		lines("Share of the asked who have answered", number,
			query{`max by (campaign) (bridgekeeper_survey_questions{` + whichPods + `,outcome="answered"}) / max by (campaign) (bridgekeeper_survey_decisions_total{` + whichPods + `,exit="Asked"} > 0)`, "{{campaign}}"}),
		lines("Overdue", seconds, query{`max by (namespace, app_kubernetes_io_instance) (bridgekeeper_survey_overdue_seconds{` + whichPods + `})`, "{{namespace}}/{{app_kubernetes_io_instance}}"}),
	}},
	{"Operator and pods", []panel{
		lines("Resources", number, query{`max by (kind, ready) (bridgekeeper_resources)`, "{{kind}} Ready={{ready}}"}),
		lines("Errors of controllers", perSecond, query{`sum by (controller) (rate(controller_runtime_reconcile_errors_total{` + manager + `}[$__rate_interval]))`, "{{controller}}"}),
		lines("Time of a reconcile", seconds, query{`histogram_quantile(0.99, sum by (le, controller) (rate(controller_runtime_reconcile_time_seconds_bucket{` + manager + `}[$__rate_interval])))`, "{{controller}} p99"}),
		lines("Memory", bytesUnit,
			query{`process_resident_memory_bytes{` + pods + `,` + whichPods + `}`, "{{namespace}}/{{pod}}"},
			query{`process_resident_memory_bytes{` + manager + `}`, "operator {{pod}}"}),
		lines("Processors", number,
			query{`rate(process_cpu_seconds_total{` + pods + `,` + whichPods + `}[$__rate_interval])`, "{{namespace}}/{{pod}}"},
			query{`rate(process_cpu_seconds_total{` + manager + `}[$__rate_interval])`, "operator {{pod}}"}),
		lines("Requests to the API server", perSecond, query{`sum by (code, method) (rate(rest_client_requests_total{` + manager + `}[$__rate_interval]))`, "{{method}} {{code}}"}),
	}},
	{"Details", []panel{
		lines("Channels in force, and those whose lease a pod has", number,
			query{each("bridgekeeper_bridge_channels"), "{{pod}} in force"},
			query{each("bridgekeeper_bridge_channels_assigned"), "{{pod}} leased"}),
		lines("On its way through the bridge pods", number,
			query{each("bridgekeeper_bridge_ingest_pending_envelopes"), "{{pod}} to the store"},
			query{each("bridgekeeper_bridge_sends_in_flight"), "{{pod}} to platforms"},
			query{each("bridgekeeper_bridge_connections"), "{{pod}} pollers"},
			query{each("bridgekeeper_bridge_duties_running"), "{{pod}} duties"}),
		lines("Bodies that are not verified yet", bytesUnit, query{each("bridgekeeper_bridge_webhook_unverified_bytes"), "{{pod}}"}),
		lines("Entries that pods refuse", number, query{each("bridgekeeper_bridge_document_exceptions"), "{{pod}}"}),
		lines("Attachments and acknowledgements at the platforms", perSecond,
			query{rate("bridgekeeper_bridge_media_total", "platform, result"), "{{platform}} attachments {{result}}"},
			query{rate("bridgekeeper_bridge_acks_total", "platform, result"), "{{platform}} acks {{result}}"}),
		lines("Elements in one request, and in one transaction", number,
			query{quantile("0.9", "bridgekeeper_bridge_ingest_batch_envelopes", "namespace"), "{{namespace}} request p90"},
			query{quantile("0.9", "bridgekeeper_store_commit_elements", "namespace"), "{{namespace}} transaction p90"}),
		lines("What the store took in, by what became of it", perSecond,
			query{rate("bridgekeeper_store_ingest_elements_total", "result"), "{{result}}"},
			query{rate("bridgekeeper_store_events_total", "namespace"), "{{namespace}} events"}),
		lines("Deliveries handed out, and reports of them", perSecond,
			query{rate("bridgekeeper_store_outbox_leased_total", "namespace"), "{{namespace}} handed out"},
			query{rate("bridgekeeper_store_outbox_reports_total", "outcome, accepted"), "{{outcome}} accepted={{accepted}}"}),
		lines("Requests of bridges by code", perSecond, query{rate("bridgekeeper_store_internal_requests_total", "route, code"), "{{route}} {{code}}"}),
		lines("Time to answer a bridge", seconds, query{quantile("0.99", "bridgekeeper_store_internal_request_duration_seconds", "route"), "{{route}} p99"}),
		lines("Transactions done again, streams cut off", perSecond,
			query{rate("bridgekeeper_store_commit_retries_total", "namespace"), "{{namespace}} done again"},
			query{rate("bridgekeeper_store_rest_event_streams_cut_off_total", "namespace"), "{{namespace}} cut off"}),
		lines("Retention", perSecond, query{rate("bridgekeeper_store_retention_removed_total", "table"), "{{table}}"}),
		lines("Backups", number,
			query{`sum by (namespace, app_kubernetes_io_instance, outcome) (increase(bridgekeeper_store_backups_total{` + whichPods + `}[1d]))`, "{{namespace}}/{{app_kubernetes_io_instance}} {{outcome}} in a day"},
			query{each("bridgekeeper_store_backup_seconds"), "{{pod}} seconds of the last"}),
	}},
}
