package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// LabelSelector chooses by labels, as selectors do everywhere in Kubernetes: what
// is here must all be true. An empty one chooses everything. It is that of
// Kubernetes with bounds, and with checks that Kubernetes leaves to whoever reads it.
// +structType=atomic
type LabelSelector struct {
	// MatchLabels are labels with exactly these values.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && !format.qualifiedName().validate(k).hasValue())",message="matchLabels must have keys of labels, like example.com/team or team"
	// +kubebuilder:validation:XValidation:rule="self.all(k, self[k].size() <= 63)",message="matchLabels must have values of at most 63 characters"
	MatchLabels map[string]string `json:"matchLabels,omitempty"`

	// MatchExpressions say more than that of labels.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	MatchExpressions []LabelSelectorRequirement `json:"matchExpressions,omitempty"`
}

// LabelSelectorRequirement is one thing that a LabelSelector says of a label.
// +kubebuilder:validation:XValidation:rule="self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 : !has(self.values) || self.values.size() == 0",message="values are required with the operators In and NotIn, and forbidden with Exists and DoesNotExist"
type LabelSelectorRequirement struct {
	// Key of the label that must be as the operator says, e.g. example.com/team.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule="!format.qualifiedName().validate(self).hasValue()",message="key must be that of a label, like example.com/team or team"
	Key string `json:"key"`

	// Operator is In, NotIn, Exists or DoesNotExist.
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`

	// Values that the label has (In) or has not (NotIn).
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	Values []string `json:"values,omitempty"`
}

// AsSelector is the selector in force: nil chooses nothing. It fails on values that
// no label can have, which the definition does not look at: it would cost too much.
func (s *LabelSelector) AsSelector() (labels.Selector, error) {
	if s == nil {
		return labels.Nothing(), nil
	}
	selector := &metav1.LabelSelector{MatchLabels: s.MatchLabels}
	for _, e := range s.MatchExpressions {
		selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement(e))
	}
	return metav1.LabelSelectorAsSelector(selector)
}
