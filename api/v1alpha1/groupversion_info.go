package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the API group and version of all kinds of this package.
var GroupVersion = schema.GroupVersion{Group: "bridgekeeper.dev", Version: "v1alpha1"}

// AddToScheme adds the kinds of this package to a scheme.
var AddToScheme = schemeBuilder.AddToScheme

var schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&ConversationStore{}, &ConversationStoreList{},
		&Bridge{}, &BridgeList{},
		&Channel{}, &ChannelList{},
		&Schedule{}, &ScheduleList{},
		&AgentQueue{}, &AgentQueueList{},
		&Bot{}, &BotList{},
		&RoutingPolicy{}, &RoutingPolicyList{},
		&SurveyCampaign{}, &SurveyCampaignList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
})
