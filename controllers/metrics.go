package controllers

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/controllers/conditions"
)

// measured are the kinds whose conditions are metrics.
var measured = map[string]func() client.ObjectList{
	kindStore:      func() client.ObjectList { return &v1alpha1.ConversationStoreList{} },
	kindBridge:     func() client.ObjectList { return &v1alpha1.BridgeList{} },
	kindChannel:    func() client.ObjectList { return &v1alpha1.ChannelList{} },
	kindPolicy:     func() client.ObjectList { return &v1alpha1.RoutingPolicyList{} },
	kindAgentQueue: func() client.ObjectList { return &v1alpha1.AgentQueueList{} },
	kindSchedule:   func() client.ObjectList { return &v1alpha1.ScheduleList{} },
	kindBot:        func() client.ObjectList { return &v1alpha1.BotList{} },
	kindCampaign:   func() client.ObjectList { return &v1alpha1.SurveyCampaignList{} },
}

const (
	// maxTroubled is how many resources have series of their own. Each has up to
	// four in practice, and a Prometheus takes 10 000 series of one target without
	// care. Further ones are counted together, under the name "_other": when a
	// platform is down for everybody, the sum is what counts.
	maxTroubled = 1000
	// collectTimeout bounds a scrape while caches fill.
	collectTimeout = 5 * time.Second
)

// resourceMetrics tells of the resources' conditions as they are in the cache:
// how many there are, and one series for each trouble of each. Without trouble
// there is nothing but the counts, however many resources there are. Names are
// those of resources, which people chose for the cluster to see.
//
// Safe for concurrent use.
type resourceMetrics struct {
	reader client.Reader
	// active: this replica leads. The others' caches would be filled for nothing.
	active <-chan struct{}

	resources, trouble *prometheus.Desc
}

func newResourceMetrics(reader client.Reader, active <-chan struct{}) *resourceMetrics {
	return &resourceMetrics{
		reader: reader, active: active,
		resources: prometheus.NewDesc("bridgekeeper_resources",
			"Resources of a kind, by the status of their Ready condition.", []string{"kind", "ready"}, nil),
		trouble: prometheus.NewDesc("bridgekeeper_resource_trouble",
			"1 for each condition of a resource that is not as it should be; of very many, those beyond a thousand are counted as _other.",
			[]string{"kind", "namespace", "name", "condition", "reason"}, nil),
	}
}

// registerMetrics makes the metrics those of this manager, also when another
// one ran in this process before.
func registerMetrics(mgr ctrl.Manager, registry prometheus.Registerer) error {
	m := newResourceMetrics(mgr.GetCache(), mgr.Elected())
	registry.Unregister(m) // the same descriptors of another manager
	return registry.Register(m)
}

// Describe implements prometheus.Collector.
func (m *resourceMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- m.resources
	out <- m.trouble
}

// Collect implements prometheus.Collector. A kind that cannot be listed right
// now has no series in this scrape, as it would not if the operator were gone.
func (m *resourceMetrics) Collect(out chan<- prometheus.Metric) {
	select {
	case <-m.active:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	for kind, newList := range measured {
		list := newList()
		// Read only, and ten thousand copies for each scrape would be garbage.
		if err := m.reader.List(ctx, list, client.UnsafeDisableDeepCopy); err == nil {
			m.collect(kind, list, out)
		}
	}
}

// series is one series of the trouble of a kind.
type series struct{ namespace, name, condition, reason string }

func (m *resourceMetrics) collect(kind string, list client.ObjectList, out chan<- prometheus.Metric) {
	ready := map[metav1.ConditionStatus]int{metav1.ConditionTrue: 0, metav1.ConditionFalse: 0, metav1.ConditionUnknown: 0}
	trouble, troubled := map[series]int{}, 0
	_ = apimeta.EachListItem(list, func(item runtime.Object) error {
		obj, ok := item.(conditions.Object)
		if !ok {
			return nil
		}
		status := metav1.ConditionUnknown
		if c := apimeta.FindStatusCondition(*obj.GetConditions(), v1alpha1.ConditionReady); c != nil {
			status = c.Status
		}
		ready[status]++
		namespace, name := obj.GetNamespace(), obj.GetName()
		found := conditions.Troubles(*obj.GetConditions())
		if len(found) > 0 {
			if troubled++; troubled > maxTroubled {
				namespace, name = "_other", "_other"
			}
		}
		for _, c := range found {
			trouble[series{namespace, name, c.Type, c.Reason}]++
		}
		return nil
	})
	for status, n := range ready {
		out <- prometheus.MustNewConstMetric(m.resources, prometheus.GaugeValue, float64(n), kind, string(status))
	}
	for s, n := range trouble {
		out <- prometheus.MustNewConstMetric(m.trouble, prometheus.GaugeValue, float64(n), kind, s.namespace, s.name, s.condition, s.reason)
	}
}
