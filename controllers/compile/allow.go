package compile

import (
	"k8s.io/apimachinery/pkg/labels"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
)

// labelNamespaceName is on every namespace; the API server sets it.
const labelNamespaceName = "kubernetes.io/metadata.name"

// allowList is who may refer to an object.
type allowList struct {
	own      string
	from     v1alpha1.FromNamespaces
	selector labels.Selector
	// err is why the selector cannot be used. Then nobody new is let in, and
	// nobody who is in already is thrown out by what is likely a typing error.
	err error
}

func newAllowList(own string, spec *v1alpha1.AllowedNamespaces) allowList {
	a := allowList{own: own, from: v1alpha1.FromSame}
	if spec == nil {
		return a
	}
	a.from = spec.From
	if a.from == v1alpha1.FromSelector {
		a.selector, a.err = spec.Selector.AsSelector()
	}
	return a
}

// permits says whether a referrer in namespace may refer to the object.
// present is whether it does already.
func (c *compiler) permits(a allowList, namespace string, present bool) bool {
	switch {
	case a.err != nil:
		return present
	case a.from == v1alpha1.FromAll:
		return true
	case a.from == v1alpha1.FromSelector:
		return a.selector.Matches(c.namespaceLabels(namespace))
	default:
		return namespace == a.own
	}
}

func (c *compiler) namespaceLabels(namespace string) labels.Set {
	if l, ok := c.Namespaces[namespace]; ok && l[labelNamespaceName] != "" {
		return l
	}
	set := labels.Set{}
	for k, v := range c.Namespaces[namespace] {
		set[k] = v
	}
	set[labelNamespaceName] = namespace
	return set
}
