package survey

import (
	"encoding/json"
	"math"
)

// Numbers that are not known are NaN in Go and null in JSON, in both directions:
// a report that was fetched says the same as the one that was made.

// nullable is a number in JSON that may be null.
type nullable float64

func (n nullable) MarshalJSON() ([]byte, error) {
	v := float64(n)
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(v)
}

func (n *nullable) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*n = nullable(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

// known is nil for what is not a finite number.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}

type estimateJSON struct {
	Score nullable `json:"score"`
	Low   nullable `json:"low"`
	High  nullable `json:"high"`
	N     int      `json:"n"`
}

// MarshalJSON writes what is not known as null: JSON has no NaN, and a 0 would
// be a claim.
func (e Estimate) MarshalJSON() ([]byte, error) {
	return json.Marshal(estimateJSON{nullable(e.Score), nullable(e.Low), nullable(e.High), e.N})
}

// UnmarshalJSON reads null as NaN.
func (e *Estimate) UnmarshalJSON(text []byte) error {
	var v estimateJSON
	err := json.Unmarshal(text, &v)
	*e = Estimate{float64(v.Score), float64(v.Low), float64(v.High), v.N}
	return err
}

type meanJSON struct {
	Mean nullable `json:"mean"`
	Low  nullable `json:"low"`
	High nullable `json:"high"`
	SD   nullable `json:"sd"`
	N    int      `json:"n"`
}

// MarshalJSON writes what is not known as null.
func (e MeanEstimate) MarshalJSON() ([]byte, error) {
	return json.Marshal(meanJSON{nullable(e.Mean), nullable(e.Low), nullable(e.High), nullable(e.SD), e.N})
}

// UnmarshalJSON reads null as NaN.
func (e *MeanEstimate) UnmarshalJSON(text []byte) error {
	var v meanJSON
	err := json.Unmarshal(text, &v)
	*e = MeanEstimate{float64(v.Mean), float64(v.Low), float64(v.High), float64(v.SD), v.N}
	return err
}

type comparisonJSON struct {
	Difference nullable `json:"difference"`
	Observed   nullable `json:"observed"`
	Low        nullable `json:"low"`
	High       nullable `json:"high"`
	Z          nullable `json:"z"`
	P          nullable `json:"p"`
	N1         int      `json:"n1"`
	N2         int      `json:"n2"`
}

// MarshalJSON writes what is not known as null.
func (c Comparison) MarshalJSON() ([]byte, error) {
	return json.Marshal(comparisonJSON{nullable(c.Difference), nullable(c.Observed), nullable(c.Low), nullable(c.High), nullable(c.Z), nullable(c.P), c.N1, c.N2})
}

// UnmarshalJSON reads null as NaN.
func (c *Comparison) UnmarshalJSON(text []byte) error {
	var v comparisonJSON
	err := json.Unmarshal(text, &v)
	*c = Comparison{float64(v.Difference), float64(v.Observed), float64(v.Low), float64(v.High), float64(v.Z), float64(v.P), v.N1, v.N2}
	return err
}

type measureJSON struct {
	N      *int     `json:"n"` // null: hidden
	Value  nullable `json:"value"`
	Low    nullable `json:"low"`
	High   nullable `json:"high"`
	Method Method   `json:"method"`
}

// MarshalJSON writes what is not known, or hidden, as null.
func (m Measure) MarshalJSON() ([]byte, error) {
	v := measureJSON{&m.N, nullable(m.Value), nullable(m.Low), nullable(m.High), m.Method}
	if m.Hidden {
		v.N = nil
	}
	return json.Marshal(v)
}

// UnmarshalJSON reads null as NaN, and an n of null as hidden.
func (m *Measure) UnmarshalJSON(text []byte) error {
	var v measureJSON
	err := json.Unmarshal(text, &v)
	*m = Measure{Value: float64(v.Value), Low: float64(v.Low), High: float64(v.High), Method: v.Method, Hidden: v.N == nil}
	if v.N != nil {
		m.N = *v.N
	}
	return err
}
