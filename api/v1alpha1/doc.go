// Package v1alpha1 holds the resources of Bridgekeeper: types, constants and
// tiny getters, nothing else.
//
//	ConversationStore ◄─storeRef── Bridge ◄─bridgeRef── Channel ──credentials──► Secret
//	 where conversations live       pods that serve      one account on one platform
//
// Rules that hold for every kind: nothing writes to spec; no defaults on
// optional fields, effective values are in status, so that GitOps tools see no
// drift; every list and string is bounded; conditions follow kstatus.
//
// +kubebuilder:object:generate=true
// +groupName=bridgekeeper.dev
package v1alpha1
