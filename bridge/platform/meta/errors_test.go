package meta

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func answer(status, code, subcode int, header http.Header) platform.Answer {
	return platform.Answer{Status: status, Header: header, Body: fmt.Appendf(nil, `{"error":{"message":"(#%d) words","code":%d,"error_subcode":%d}}`, code, code, subcode)}
}

// The table of the platform's fact sheet, code by code.
func TestEveryCodeHasItsClass(t *testing.T) {
	for _, test := range []struct {
		status, code, subcode int
		class                 wire.ErrorClass
		maybeSent             bool
	}{
		{500, 1, 0, wire.ErrRetryable, true},
		{400, 1, 99, wire.ErrRetryable, false},
		{500, 2, 0, wire.ErrRetryable, false},
		{500, 1200, 0, wire.ErrRetryable, false},
		{500, 77777, 0, wire.ErrRetryable, true},
		{503, 77777, 0, wire.ErrRetryable, false},

		{400, 4, 0, wire.ErrRateLimited, false},
		{400, 4, 2018022, wire.ErrRateLimited, false},
		{400, 613, 0, wire.ErrRateLimited, false},
		{400, 80006, 0, wire.ErrRateLimited, false},
		{400, 32, 0, wire.ErrRateLimited, false},
		{429, 77777, 0, wire.ErrRateLimited, false},
		{400, 4, 2018354, wire.ErrContentRejected, false},

		{403, 10, 2018278, wire.ErrOutsideWindow, false},
		{403, 10, 2018065, wire.ErrOutsideWindow, false},
		{403, 10, 2534022, wire.ErrOutsideWindow, false},

		{403, 10, 1893063, wire.ErrMisconfigured, false},
		{403, 368, 0, wire.ErrMisconfigured, false},

		{401, 190, 0, wire.ErrAuthInvalid, false},
		{401, 190, 463, wire.ErrAuthInvalid, false},
		{400, 102, 0, wire.ErrAuthInvalid, false},
		{403, 230, 0, wire.ErrAuthInvalid, false},
		{403, 10, 0, wire.ErrAuthInvalid, false},
		{403, 200, 0, wire.ErrAuthInvalid, false},
		{403, 200, 2018028, wire.ErrAuthInvalid, false},

		// Permissions about one recipient or one feature.
		{403, 10, 2018108, wire.ErrRecipientGone, false},
		{403, 200, 2018027, wire.ErrContentRejected, false}, // to write to phone numbers
		{403, 200, 2018021, wire.ErrContentRejected, false},
		{403, 200, 77777, wire.ErrContentRejected, false},
		{401, 10, 77777, wire.ErrContentRejected, false},
		{403, 200, 2534041, wire.ErrMisconfigured, false},
		{400, 100, 2534029, wire.ErrMisconfigured, false},
		{400, 100, 2534014, wire.ErrRecipientGone, false},

		{400, 551, 0, wire.ErrRecipientGone, false},
		{400, 551, 1545041, wire.ErrRecipientGone, false},
		{403, 200, 1545041, wire.ErrRecipientGone, false},
		{400, 100, 2018001, wire.ErrRecipientGone, false},

		{400, 100, 0, wire.ErrContentRejected, false},
		{400, 100, 2018109, wire.ErrContentRejected, false},
		{400, 77777, 0, wire.ErrContentRejected, false},
		{401, 77777, 0, wire.ErrAuthInvalid, false},
	} {
		t.Run(fmt.Sprintf("%d/%d of HTTP %d", test.code, test.subcode, test.status), func(t *testing.T) {
			e := refusal(answer(test.status, test.code, test.subcode, nil), noon)
			assert.Equal(t, test.class, e.Class)
			assert.Equal(t, test.maybeSent, e.MaybeSent)
			assert.Contains(t, e.Reason, fmt.Sprint(test.code))
			if test.class == wire.ErrRateLimited {
				assert.Equal(t, wire.ScopeChannel, e.Scope)
				assert.Equal(t, defaultRateWait, e.RetryAfter)
			}
		})
	}
}

func TestAWrongProofIsAWrongSecret(t *testing.T) {
	a := platform.Answer{Status: 400, Body: []byte(`{"error":{"message":"Invalid appsecret_proof provided in the API argument","code":100}}`)}
	assert.Equal(t, wire.ErrAuthInvalid, refusal(a, noon).Class)
}

func TestARateLimitSaysHowLong(t *testing.T) {
	regain := func(minutes string) http.Header {
		return http.Header{businessUsageHeader: {`{"1":[{"type":"pages","call_count":101,"estimated_time_to_regain_access":` + minutes + `}]}`}}
	}
	assert.Equal(t, 5*time.Minute, refusal(answer(400, 4, 0, regain("5")), noon).RetryAfter)
	assert.Equal(t, maxRegain, refusal(answer(400, 4, 0, regain("1e300")), noon).RetryAfter)
	assert.Equal(t, defaultRateWait, refusal(answer(400, 4, 0, regain("0")), noon).RetryAfter)
	assert.Equal(t, 17*time.Second, refusal(answer(400, 4, 0, http.Header{"Retry-After": {"17"}}), noon).RetryAfter)
}

func TestUsageAtTheLimitPausesWhomItConcerns(t *testing.T) {
	one, sibling, other := &channel{base: "b"}, &channel{base: "b"}, &channel{base: "b"}
	one.App, one.ID, sibling.App, sibling.ID, other.App, other.ID = "A", "1", "A", "2", "B", "3"
	all := []*channel{one, sibling, other}
	waits := func(u *usage, now time.Time) []time.Duration {
		var out []time.Duration
		for _, c := range all {
			out = append(out, u.wait(c, now))
		}
		return out
	}
	for name, test := range map[string]struct {
		header http.Header
		want   []time.Duration
	}{
		"below":            {http.Header{appUsageHeader: {`{"call_count":99,"total_time":99.9}`}}, []time.Duration{0, 0, 0}},
		"the app":          {http.Header{appUsageHeader: {`{"call_count":5,"total_time":100}`}}, []time.Duration{time.Minute, time.Minute, 0}},
		"the account":      {http.Header{businessUsageHeader: {`{"1":[{"call_count":100}]}`}}, []time.Duration{time.Minute, 0, 0}},
		"for so long":      {http.Header{businessUsageHeader: {`{"1":[{"call_count":1},{"call_count":120,"estimated_time_to_regain_access":7}]}`}}, []time.Duration{7 * time.Minute, 0, 0}},
		"nothing readable": {http.Header{appUsageHeader: {`x`}, businessUsageHeader: {`[]`}}, []time.Duration{0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUsage()
			u.note(one, test.header, noon)
			assert.Equal(t, test.want, waits(u, noon))
			assert.Equal(t, []time.Duration{0, 0, 0}, waits(u, noon.Add(time.Hour)), "it is over")
			assert.Empty(t, u.until, "and forgotten")
		})
	}
}

func TestTheProfilePaceIsTenInTenMinutes(t *testing.T) {
	u, c := newUsage(), &channel{base: "b"}
	for i := range 10 {
		assert.Zero(t, u.pace(c, noon.Add(time.Duration(i)*time.Second)))
	}
	assert.Equal(t, 10*time.Minute-20*time.Second, u.pace(c, noon.Add(20*time.Second)))
	assert.Zero(t, u.pace(c, noon.Add(10*time.Minute)), "the first is ten minutes old")
	assert.Equal(t, time.Second, u.pace(c, noon.Add(10*time.Minute)))
}

func TestUploadsAreRememberedForADay(t *testing.T) {
	u := newUploads()
	u.put("a", "1", noon)
	assert.Equal(t, "1", u.get("a", noon.Add(23*time.Hour)))
	assert.Empty(t, u.get("a", noon.Add(24*time.Hour)))
	for i := range uploadsKept + 5 {
		u.put(fmt.Sprint(i), "x", noon)
	}
	assert.Len(t, u.byKey, uploadsKept)
	assert.Equal(t, uploadsKept, u.order.Len())
	assert.Empty(t, u.get("4", noon))
	assert.Equal(t, "x", u.get("5", noon))
}
