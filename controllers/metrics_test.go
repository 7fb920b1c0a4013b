package controllers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

func measuredChannel(name string, conditions ...metav1.Condition) *v1alpha1.Channel {
	return &v1alpha1.Channel{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Status: v1alpha1.ChannelStatus{Conditions: conditions}}
}

func TestMetricsNameTheResourcesInTrouble(t *testing.T) {
	scheme := runtime.NewScheme()
	require.NoError(t, v1alpha1.AddToScheme(scheme))
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonReady}
	refused := metav1.Condition{Type: v1alpha1.ConditionDelivering, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAuthInvalid}
	objects := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		measuredChannel("new"), measuredChannel("well", ready), measuredChannel("ill", ready, refused),
	).Build()
	elected := make(chan struct{})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newResourceMetrics(objects, elected))

	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader("")), "who does not lead says nothing")
	close(elected)
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP bridgekeeper_resource_trouble 1 for each condition of a resource that is not as it should be; of very many, those beyond a thousand are counted as _other.
# TYPE bridgekeeper_resource_trouble gauge
bridgekeeper_resource_trouble{condition="Delivering",kind="Channel",name="ill",namespace="shop",reason="AuthInvalid"} 1
# HELP bridgekeeper_resources Resources of a kind, by the status of their Ready condition.
# TYPE bridgekeeper_resources gauge
bridgekeeper_resources{kind="AgentQueue",ready="False"} 0
bridgekeeper_resources{kind="AgentQueue",ready="True"} 0
bridgekeeper_resources{kind="AgentQueue",ready="Unknown"} 0
bridgekeeper_resources{kind="Bot",ready="False"} 0
bridgekeeper_resources{kind="Bot",ready="True"} 0
bridgekeeper_resources{kind="Bot",ready="Unknown"} 0
bridgekeeper_resources{kind="Bridge",ready="False"} 0
bridgekeeper_resources{kind="Bridge",ready="True"} 0
bridgekeeper_resources{kind="Bridge",ready="Unknown"} 0
bridgekeeper_resources{kind="Channel",ready="False"} 0
bridgekeeper_resources{kind="Channel",ready="True"} 2
bridgekeeper_resources{kind="Channel",ready="Unknown"} 1
bridgekeeper_resources{kind="ConversationStore",ready="False"} 0
bridgekeeper_resources{kind="ConversationStore",ready="True"} 0
bridgekeeper_resources{kind="ConversationStore",ready="Unknown"} 0
bridgekeeper_resources{kind="RoutingPolicy",ready="False"} 0
bridgekeeper_resources{kind="RoutingPolicy",ready="True"} 0
bridgekeeper_resources{kind="RoutingPolicy",ready="Unknown"} 0
bridgekeeper_resources{kind="Schedule",ready="False"} 0
bridgekeeper_resources{kind="Schedule",ready="True"} 0
bridgekeeper_resources{kind="Schedule",ready="Unknown"} 0
bridgekeeper_resources{kind="SurveyCampaign",ready="False"} 0
bridgekeeper_resources{kind="SurveyCampaign",ready="True"} 0
bridgekeeper_resources{kind="SurveyCampaign",ready="Unknown"} 0
`)))
}

func TestSeriesOfTroubleAreBounded(t *testing.T) {
	list := &v1alpha1.ChannelList{}
	for i := range maxTroubled + 50 {
		list.Items = append(list.Items, *measuredChannel(fmt.Sprint("c", i), metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNotLoaded,
		}))
	}
	m := newResourceMetrics(nil, nil)
	out := make(chan prometheus.Metric, 2*maxTroubled)
	m.collect(kindChannel, list, out)
	close(out)
	assert.Len(t, out, 3+maxTroubled+1)
}
