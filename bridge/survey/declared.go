package survey

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// Declared is what a campaign declares before the start, and what may not change
// once the first contact was asked: what is measured (type, scale, top box), how it
// is judged (analysis), who is drawn (sampling, holdout), and what the experiment
// compares (the arms as a whole: an arm whose wording, delay or channels change
// half-way is two treatments under one name).
//
// The rest may change, since it is alike for all who are compared or concerns none
// of them: the window's end, stop rules, suspending, the texts of the campaign
// itself (a typing error), thanks, actions, cool-downs.
type Declared struct {
	Type       Type     `json:"type"`
	Scale      Scale    `json:"scale"`
	TopBoxFrom int      `json:"topBoxFrom,omitempty"`
	Analysis   Analysis `json:"analysis"`
	Sampling   Sampling `json:"sampling"`
	Holdout    Holdout  `json:"holdout"`
	Arms       []Arm    `json:"arms,omitempty"`
}

// Declared is what the campaign declares, with the defaults that hold.
func (p *Program) Declared() Declared {
	c := &p.Campaign
	return Declared{Type: c.Type, Scale: p.scale, TopBoxFrom: c.TopBoxFrom, Analysis: c.Analysis, Sampling: c.Sampling, Holdout: c.Holdout, Arms: c.Arms}
}

// Changed names the first field that differs from what a campaign started with, as
// JSON of a Declared; "" for none. JSON of an Analysis alone is what earlier
// versions kept: then only that is compared.
func (d Declared) Changed(started []byte) (field string, err error) {
	var before map[string]json.RawMessage
	if err := json.Unmarshal(started, &before); err != nil {
		return "", fmt.Errorf("what the campaign started with: %w", err)
	}
	now := map[string]json.RawMessage{}
	if err := remarshal(d, &now); err != nil {
		return "", err
	}
	if _, whole := before["analysis"]; !whole {
		before = map[string]json.RawMessage{"analysis": started}
		now = map[string]json.RawMessage{"analysis": now["analysis"]}
	}
	for _, name := range declaredFields {
		was, is, err := decodeBoth(before[name], now[name])
		if err != nil || !reflect.DeepEqual(was, is) {
			return name, err
		}
	}
	return "", nil
}

// declaredFields are the names of a Declared's fields, in their order.
var declaredFields = func() []string {
	t := reflect.TypeFor[Declared]()
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("json"), ",")
	}
	return names
}()

func remarshal(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, to)
}

// decodeBoth decodes two values, either of which may be absent: the order of keys
// means nothing.
func decodeBoth(a, b json.RawMessage) (x, y any, err error) {
	for _, v := range []struct {
		text json.RawMessage
		into *any
	}{{a, &x}, {b, &y}} {
		if v.text != nil {
			if err := json.Unmarshal(v.text, v.into); err != nil {
				return nil, nil, err
			}
		}
	}
	return x, y, nil
}
