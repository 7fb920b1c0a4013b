package main

import (
	"cmp"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A case is what Prometheus has seen, a sample each minute, with which the alert
// fires; and what looks similar and is none of its business.
type example struct {
	fires, quiet string
	// at is when it is looked at; usually when zero.
	at time.Duration
}

const (
	ofPods  = `job="x/bridgekeeper-pods",namespace="shop",pod="p",app_kubernetes_io_instance="default"`
	ofStore = `{` + ofPods + `}`
)

func inTrouble(condition, reason string) string {
	return `bridgekeeper_resource_trouble{job="x/bridgekeeper-manager",kind="Channel",namespace="shop",name="main",condition="` + condition + `",reason="` + reason + `"} 1x200`
}

var examples = map[string]example{
	"BridgekeeperOperatorDown": {
		fires: `up{job="bridgekeeper-system/bridgekeeper-manager",pod="m"} 0x200`,
		quiet: `up{job="elsewhere/bridgekeeper-manager",pod="m"} 1x200`,
	},
	"BridgekeeperOperatorErrors": {
		fires: `controller_runtime_reconcile_errors_total{job="x/bridgekeeper-manager",controller="channel"} 0+3x200
			controller_runtime_reconcile_total{job="x/bridgekeeper-manager",controller="channel",result="error"} 0+3x200
			controller_runtime_reconcile_total{job="x/bridgekeeper-manager",controller="channel",result="success"} 0+7x200`,
		quiet: `controller_runtime_reconcile_errors_total{job="another/operator",controller="channel"} 0+3x200
			controller_runtime_reconcile_total{job="another/operator",controller="channel",result="error"} 0+3x200`,
	},
	"BridgekeeperCertificateExpires": { // looked at at 1970-01-01T02:00Z or so
		fires: `bridgekeeper_store_certificate_expiry_timestamp_seconds` + ofStore + ` 500000x200`,
		quiet: `bridgekeeper_bridge_certificate_expiry_timestamp_seconds` + ofStore + ` 900000x200`,
	},
	"BridgekeeperNotReady":             {fires: inTrouble("Ready", "NotLoaded"), quiet: inTrouble("Delivering", "AuthInvalid")},
	"BridgekeeperCredentialsRefused":   {fires: inTrouble("CredentialsValid", "AuthInvalid"), quiet: inTrouble("Ready", "NotLoaded")},
	"BridgekeeperWebhookNotRegistered": {fires: inTrouble("WebhookRegistered", "TakenOver"), quiet: inTrouble("Ready", "NotLoaded")},
	"BridgekeeperNotDelivering":        {fires: inTrouble("Delivering", "Unreachable"), quiet: inTrouble("ProfileSynced", "Misconfigured")},
	"BridgekeeperStoreUnreachable":     {fires: inTrouble("DatabaseReachable", "Unreachable"), quiet: inTrouble("Ready", "StoreNotReady")},
	"BridgekeeperStorageLow":           {fires: inTrouble("StorageLow", "StorageLow"), quiet: inTrouble("Ready", "StoreNotReady")},
	"BridgekeeperUpgradeFailed":        {fires: inTrouble("UpgradePending", "RolloutFailed"), quiet: inTrouble("Ready", "RolloutFailed")},
	"BridgekeeperProfileNotSynced":     {fires: inTrouble("ProfileSynced", "Misconfigured"), quiet: inTrouble("Delivering", "Unreachable")},
	"BridgekeeperTrouble":              {fires: inTrouble("SomethingNew", "Misconfigured"), quiet: inTrouble("Delivering", "Unreachable")},
	"BridgekeeperPodDown": {
		fires: `up{` + ofPods + `,app_kubernetes_io_component="bridge"} 0x200`,
		quiet: `up{job="x/other-pods"} 0x200`,
	},
	"BridgekeeperWebhooksUnavailable": {
		fires: `bridgekeeper_bridge_webhook_requests_total{platform="telegram",result="unavailable"} 0+10x200
			bridgekeeper_bridge_webhook_requests_total{platform="telegram",result="accepted"} 0+90x200`,
		quiet: `bridgekeeper_bridge_webhook_requests_total{platform="telegram",result="unauthorized"} 0+90x200
			bridgekeeper_bridge_webhook_requests_total{platform="telegram",result="unavailable"} 0+1x200
			bridgekeeper_bridge_webhook_requests_total{platform="telegram",result="accepted"} 0+90x200`,
	},
	"BridgekeeperWebhooksUnauthorized": {
		fires: `bridgekeeper_bridge_channel_webhook_requests_total{namespace="shop",channel="main",result="unauthorized"} 0+6x200
			bridgekeeper_bridge_channel_webhook_requests_total{namespace="shop",channel="main",result="accepted"} 0+1x200`,
		quiet: `bridgekeeper_bridge_channel_webhook_requests_total{namespace="shop",channel="main",result="unauthorized"} 0+6x200
			bridgekeeper_bridge_channel_webhook_requests_total{namespace="shop",channel="main",result="accepted"} 0+60x200`,
	},
	"BridgekeeperWebhooksLimited": {
		fires: `bridgekeeper_bridge_channel_webhook_requests_total{namespace="shop",channel="main",result="limited"} 0+30x200`,
		quiet: `bridgekeeper_bridge_channel_webhook_requests_total{namespace="shop",channel="main",result="limited"} 0x200`,
	},
	"BridgekeeperWebhooksSlow": {
		fires: `bridgekeeper_bridge_webhook_duration_seconds_bucket{platform="messenger",le="2"} 0+90x200
			bridgekeeper_bridge_webhook_duration_seconds_bucket{platform="messenger",le="10"} 0+100x200
			bridgekeeper_bridge_webhook_duration_seconds_bucket{platform="messenger",le="+Inf"} 0+100x200`,
		quiet: `bridgekeeper_bridge_webhook_duration_seconds_bucket{platform="messenger",le="2"} 0+100x200
			bridgekeeper_bridge_webhook_duration_seconds_bucket{platform="messenger",le="+Inf"} 0+100x200`,
	},
	"BridgekeeperIngestSlow": {
		fires: `bridgekeeper_bridge_ingest_duration_seconds_bucket{` + ofPods + `,le="1"} 0+90x200
			bridgekeeper_bridge_ingest_duration_seconds_bucket{` + ofPods + `,le="5"} 0+100x200
			bridgekeeper_bridge_ingest_duration_seconds_bucket{` + ofPods + `,le="+Inf"} 0+100x200`,
		quiet: `bridgekeeper_bridge_ingest_duration_seconds_bucket{` + ofPods + `,le="0.5"} 0+100x200
			bridgekeeper_bridge_ingest_duration_seconds_bucket{` + ofPods + `,le="+Inf"} 0+100x200`,
	},
	"BridgekeeperElementsRefused": {
		fires: `bridgekeeper_bridge_ingest_elements_total{platform="telegram",result="invalid"} _x160 1x40`, // the very first
		quiet: `bridgekeeper_bridge_ingest_elements_total{platform="telegram",result="invalid"} 7x200
			bridgekeeper_bridge_ingest_elements_total{platform="telegram",result="duplicate"} 0+9x200`,
	},
	"BridgekeeperDocumentRefused": {
		fires: `bridgekeeper_bridge_document_exceptions` + ofStore + ` 1x200`,
		quiet: `bridgekeeper_bridge_document_exceptions` + ofStore + ` 0x200`,
	},
	"BridgekeeperSessionLost": {
		fires: `bridgekeeper_bridge_session_failures_total` + ofStore + ` 0+1x200`,
		quiet: `bridgekeeper_bridge_session_failures_total` + ofStore + ` 5x200`,
	},
	"BridgekeeperSendsFailing": {
		fires: `bridgekeeper_bridge_sends_total{platform="telegram",outcome="retry",class="Retryable"} 0+30x200
			bridgekeeper_bridge_sends_total{platform="telegram",outcome="sent",class=""} 0+70x200`,
		quiet: `bridgekeeper_bridge_sends_total{platform="telegram",outcome="failed",class="RecipientGone"} 0+90x200
			bridgekeeper_bridge_sends_total{platform="telegram",outcome="sent",class=""} 0+70x200`,
	},
	"BridgekeeperPanics": {
		fires: `bridgekeeper_bridge_panics_total{` + ofPods + `,where="send"} _x150 1x50`,
		quiet: `bridgekeeper_bridge_panics_total{` + ofPods + `,where="send"} 1x200`,
	},
	"BridgekeeperCommitsFailing": {
		fires: `bridgekeeper_store_commits_total{` + ofPods + `,outcome="failed"} 0+1x200`,
		quiet: `bridgekeeper_store_commits_total{` + ofPods + `,outcome="committed"} 0+100x200`,
	},
	"BridgekeeperCommitsSlow": {
		fires: `bridgekeeper_store_commit_seconds_bucket{` + ofPods + `,le="0.512"} 0+90x200
			bridgekeeper_store_commit_seconds_bucket{` + ofPods + `,le="2.048"} 0+100x200
			bridgekeeper_store_commit_seconds_bucket{` + ofPods + `,le="+Inf"} 0+100x200`,
		quiet: `bridgekeeper_store_commit_seconds_bucket{` + ofPods + `,le="0.064"} 0+100x200
			bridgekeeper_store_commit_seconds_bucket{` + ofPods + `,le="+Inf"} 0+100x200`,
	},
	"BridgekeeperMessagesWaiting": {
		fires: `bridgekeeper_store_outbox_overdue_seconds` + ofStore + ` 0+60x200`,
		quiet: `bridgekeeper_store_outbox_overdue_seconds` + ofStore + ` 120x200
			bridgekeeper_store_outbox_oldest_queued_age_seconds` + ofStore + ` 0+60x200`, // a full mailbox, a suspended Channel
	},
	"BridgekeeperBreakersOpen": {
		fires: `bridgekeeper_store_outbox_breakers` + ofStore + ` 2x200`,
		quiet: `bridgekeeper_store_outbox_breakers` + ofStore + ` 0x200`,
	},
	"BridgekeeperUnknownOutcomes": {
		fires: `bridgekeeper_store_outbox_messages_total{` + ofPods + `,status="unknown"} 3x150 4x50`,
		quiet: `bridgekeeper_store_outbox_messages_total{` + ofPods + `,status="unknown"} 3x200
			bridgekeeper_store_outbox_messages_total{` + ofPods + `,status="delivered"} 0+9x200`,
	},
	"BridgekeeperRESTErrors": {
		fires: `bridgekeeper_store_rest_requests_total{` + ofPods + `,code="503"} 0+10x200
			bridgekeeper_store_rest_requests_total{` + ofPods + `,code="200"} 0+90x200`,
		quiet: `bridgekeeper_store_rest_requests_total{` + ofPods + `,code="404"} 0+90x200`,
	},
	"BridgekeeperStorageFullSoon": {
		fires: `bridgekeeper_store_storage_free_bytes` + ofStore + ` 2e9-1e6x200
			bridgekeeper_store_storage_size_bytes` + ofStore + ` 1e10x200`,
		quiet: `bridgekeeper_store_storage_free_bytes` + ofStore + ` 2e9x200
			bridgekeeper_store_storage_size_bytes` + ofStore + ` 1e10x200`,
	},
	"BridgekeeperBackupOld": {
		// A pod that was started again tells of the backup that an earlier one made.
		fires: `bridgekeeper_store_backup_timestamp_seconds` + ofStore + ` 60x1500 _x5 60x2100`,
		quiet: `bridgekeeper_store_backup_timestamp_seconds` + ofStore + ` 0x3600`, // there was none
		at:    60 * time.Hour,
	},
}

// usually is when the alerts are looked at, with time and samples from zero.
const usually = 3 * time.Hour

func TestAlertsFireWhenTheyShould(t *testing.T) {
	alerts := everyAlert()
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 100_000)
	for name, a := range alerts {
		t.Run(name, func(t *testing.T) {
			e, ok := examples[name]
			require.True(t, ok, "an alert needs an example of when it fires, and of when it does not")
			assert.Positive(t, firing(t, engine, a, e.fires, cmp.Or(e.at, usually)), "it does not fire")
			assert.Zero(t, firing(t, engine, a, e.quiet, cmp.Or(e.at, usually)), "it fires without reason")
		})
	}
	require.Len(t, examples, len(alerts), "there is an example of an alert that is gone")
}

// firing is how many alerts there are after the time that the alert has to hold.
func firing(t *testing.T, engine *promql.Engine, a alert, seen string, now time.Duration) int {
	t.Helper()
	storage := promqltest.LoadedStorage(t, "load 1m\n"+seen)
	defer func() { require.NoError(t, storage.Close()) }()
	hold, err := model.ParseDuration(a.hold)
	require.NoError(t, err)
	least := -1
	for at := now - time.Duration(hold); at <= now; at += time.Minute {
		query, err := engine.NewInstantQuery(t.Context(), storage, nil, a.expr, time.Unix(0, 0).Add(at))
		require.NoError(t, err)
		result := query.Exec(t.Context())
		require.NoError(t, result.Err)
		vector, err := result.Vector()
		require.NoError(t, err)
		if n := len(vector); least < 0 || n < least {
			least = n
		}
		query.Close()
	}
	return least
}
