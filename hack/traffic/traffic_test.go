package traffic

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bridgekeeper/bridgekeeper/bridge/message"
)

// The vector of the fact sheet, computed independently of this code.
func TestSignature(t *testing.T) {
	assert.Equal(t, "sha256=84cc33df716ed0b0598f07437c94069ace3730358778a592bd6bbd1423d111f3", Sign("test-secret", []byte(`{"hello":"world"}`)))
}

func TestRunRepeatsUntilAccepted(t *testing.T) {
	var n atomic.Int64
	var accepted atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("X-Hub-Signature-256") != Sign("secret", body) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		switch n.Add(1) % 3 {
		case 0:
			http.Error(w, "later", http.StatusServiceUnavailable)
		case 1:
			w.Header().Set("Connection", "close")
			http.Error(w, "elsewhere", http.StatusBadGateway)
		default:
			accepted.Add(1)
		}
	}))
	defer s.Close()
	r, err := Run(context.Background(), Options{
		Address: func() string { return strings.TrimPrefix(s.URL, "http://") }, Path: "/", AppSecret: "secret", Page: "1",
		Connections: 3, Contacts: 7, Messages: 60,
	})
	require.NoError(t, err)
	assert.EqualValues(t, 60, accepted.Load())
	assert.Equal(t, 60, r.Total())
	assert.Len(t, r.Latencies, 60)
	assert.Positive(t, r.Repeats[503])
	assert.Positive(t, r.Repeats[502])
	assert.Zero(t, r.Repeats[401])
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	stored := func(ids ...string) (list []message.Message) {
		for _, id := range ids {
			list = append(list, message.Message{ExternalID: id})
		}
		return list
	}
	r := &Result{Accepted: []int{2, 1}}
	for name, test := range map[string]struct {
		stored []message.Message
		want   Findings
	}{
		"all there":               {stored("m_0_0", "m_1_0", "m_0_1"), Findings{}},
		"an answer was lost":      {stored("m_0_0", "m_1_0", "m_0_1", "m_1_1"), Findings{}},
		"lost":                    {stored("m_0_0", "m_1_0"), Findings{Lost: 1, First: "lost m_0_1"}},
		"twice":                   {stored("m_0_0", "m_0_0", "m_1_0", "m_0_1"), Findings{Twice: 1, First: "twice m_0_0"}},
		"out of order":            {stored("m_0_1", "m_0_0", "m_1_0"), Findings{OutOfOrder: 1, First: "out of order m_0_0"}},
		"somebody else's":         {stored("m_0_0", "m_1_0", "m_0_1", "x"), Findings{Unknown: 1, First: "unknown x"}},
		"too far beyond accepted": {stored("m_0_0", "m_1_0", "m_0_1", "m_1_2"), Findings{Unknown: 1, First: "unknown m_1_2"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Check(r, 1, test.stored)
			assert.Equal(t, test.want, got)
			assert.Equal(t, test.want.First == "", got.OK())
		})
	}
}
