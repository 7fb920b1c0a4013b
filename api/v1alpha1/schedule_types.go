package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ScheduleSpec is business time: when somebody is there.
type ScheduleSpec struct {
	// TimeZone is an IANA name, like Europe/Berlin or UTC.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone"`

	// Weekly are the hours of an ordinary week. A day may have several, which
	// must not overlap.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Weekly []WeeklyHours `json:"weekly,omitempty"`

	// Exceptions are what dates have instead of their weekly hours. They come
	// before holidays; several of one date add up.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=400
	Exceptions []ScheduleException `json:"exceptions,omitempty"`

	// HolidaySets are dates without hours, as lists that somebody reviewed.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	HolidaySets []HolidaySet `json:"holidaySets,omitempty"`

	// Suspend keeps the version that is in force, whatever the spec says.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// Weekday is a day of the week.
// +kubebuilder:validation:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
type Weekday string

// WeeklyHours are hours on some days of the week.
type WeeklyHours struct {
	// Days of the week on which the interval holds.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=7
	Days []Weekday `json:"days"`

	// From is when they begin, like 08:00.
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	// +kubebuilder:validation:MaxLength=5
	From string `json:"from"`

	// To is when they end, like 17:30; 24:00 is the end of the day. Hours that
	// pass midnight are written as two.
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	// +kubebuilder:validation:MaxLength=5
	To string `json:"to"`
}

// ScheduleException is what a date has instead of its weekly hours.
// +kubebuilder:validation:XValidation:rule="has(self.closed) && self.closed ? !has(self.from) && !has(self.to) : has(self.from) && has(self.to)",message="write closed: true, or from and to"
type ScheduleException struct {
	// Date whose ordinary hours do not hold, like 2026-12-24.
	// +kubebuilder:validation:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	// +kubebuilder:validation:MaxLength=10
	Date string `json:"date"`

	// Closed all day.
	// +optional
	Closed bool `json:"closed,omitempty"`

	// From is when the hours of this date begin, like 10:00.
	// +optional
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	// +kubebuilder:validation:MaxLength=5
	From string `json:"from,omitempty"`

	// To is when they end, like 14:00 or 24:00.
	// +optional
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	// +kubebuilder:validation:MaxLength=5
	To string `json:"to,omitempty"`

	// Name tells people why; it has no effect.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Name string `json:"name,omitempty"`
}

// HolidaySet is a list of dates on which nobody is there.
type HolidaySet struct {
	// Name of the set, like berlin.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name"`

	// Dates on which nobody is there, like 2026-12-25.
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=400
	// +kubebuilder:validation:items:Pattern=`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`
	// +kubebuilder:validation:items:MaxLength=10
	Dates []string `json:"dates"`
}

// ScheduleStatus is what is really there.
type ScheduleStatus struct {
	// ObservedGeneration is the generation that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, Accepted, Reconciling, Stalled.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Open says whether it is open now; left out while the spec is not valid.
	// +optional
	Open *bool `json:"open,omitempty"`

	// NextTransition is when Open changes; left out when it never does.
	// +optional
	NextTransition *metav1.Time `json:"nextTransition,omitempty"`

	// Stores are the namespace/name of the ConversationStores that use it.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Stores []string `json:"stores,omitempty"`
}

// Schedule is business time: when somebody is there. AgentQueues and
// RoutingPolicies of its namespace name it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=sched,categories=bridgekeeper
// +kubebuilder:selectablefield:JSONPath=`.spec.timeZone`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Open",type=boolean,JSONPath=`.status.open`
// +kubebuilder:printcolumn:name="Changes",type=string,JSONPath=`.status.nextTransition`
// +kubebuilder:printcolumn:name="Zone",type=string,JSONPath=`.spec.timeZone`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
//
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="metadata.name must be at most 63 lower-case letters, digits and dashes: it stands in metrics and in the REST API"
type Schedule struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +kubebuilder:validation:Required
	Spec ScheduleSpec `json:"spec"`
	// A fresh object says that nothing was observed yet, so that GitOps tools
	// do not take it for healthy before the operator has seen it.
	// +kubebuilder:default={"observedGeneration":-1}
	Status ScheduleStatus `json:"status,omitempty"`
}

// ScheduleList is a list of Schedules.
// +kubebuilder:object:root=true
type ScheduleList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Schedule `json:"items"`
}

// GetConditions returns the conditions of the status.
func (o *Schedule) GetConditions() *[]metav1.Condition { return &o.Status.Conditions }
