package meta

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"
)

// Headers in which Meta tells how much of a limit is used, in percent: of the
// app, and of the business object (page, account) that a call was about.
const (
	appUsageHeader      = "X-App-Usage"
	businessUsageHeader = "X-Business-Use-Case-Usage"
	fullPercent         = 100
)

// usage remembers, for this process, which apps and accounts must wait. Calls
// made beyond 100 % are refused and make the wait longer.
type usage struct {
	mu    sync.Mutex
	until map[string]time.Time
	calls map[string][]time.Time // of the profile API, by account; see pace
}

func newUsage() *usage {
	return &usage{until: map[string]time.Time{}, calls: map[string][]time.Time{}}
}

func (c *channel) appKey() string     { return "app " + c.base + " " + c.App }
func (c *channel) accountKey() string { return "account " + c.base + " " + c.ID }

// wait is how long a channel must not call; 0: it may.
func (u *usage) wait(c *channel, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	var wait time.Duration
	for _, key := range []string{c.appKey(), c.accountKey()} {
		until, waits := u.until[key]
		if waits && !until.After(now) {
			delete(u.until, key)
		}
		wait = max(wait, until.Sub(now))
	}
	return max(wait, 0)
}

// note takes in what the headers of an answer tell.
func (u *usage) note(c *channel, h http.Header, now time.Time) {
	appFull := appUsage(h.Get(appUsageHeader)) >= fullPercent
	accountPercent, regain := businessUsage(h.Get(businessUsageHeader))
	if !appFull && accountPercent < fullPercent && regain == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if appFull {
		u.until[c.appKey()] = now.Add(defaultRateWait)
	}
	if accountPercent >= fullPercent || regain > 0 {
		u.until[c.accountKey()] = now.Add(max(regain, defaultRateWait))
	}
}

// share is how much is used, by each of Meta's measures.
type share struct {
	CallCount    float64 `json:"call_count"`
	TotalTime    float64 `json:"total_time"`
	TotalCPUTime float64 `json:"total_cputime"`
	// Minutes until calls are answered again; 0 while they are.
	RegainAccess float64 `json:"estimated_time_to_regain_access"`
}

func (s share) most() float64 { return max(s.CallCount, s.TotalTime, s.TotalCPUTime) }

func appUsage(header string) float64 {
	var s share
	if header == "" || json.Unmarshal([]byte(header), &s) != nil {
		return 0
	}
	return s.most()
}

// maxRegain bounds what a header can make us wait.
const maxRegain = 24 * time.Hour

func businessUsage(header string) (percent float64, regain time.Duration) {
	var objects map[string][]share
	if header == "" || json.Unmarshal([]byte(header), &objects) != nil {
		return 0, 0
	}
	for _, shares := range objects {
		for _, s := range shares {
			percent = max(percent, s.most())
			if s.RegainAccess > 0 {
				regain = max(regain, min(time.Duration(min(s.RegainAccess, maxRegain.Minutes())*float64(time.Minute)), maxRegain))
			}
		}
	}
	return percent, regain
}

// regainAccess is how long an answer's header asks to wait.
func regainAccess(h http.Header) time.Duration {
	_, regain := businessUsage(h.Get(businessUsageHeader))
	return regain
}

// The profile API takes about 10 calls in 10 minutes for a page.
const (
	profileCalls  = 10
	profileWindow = 10 * time.Minute
)

// pace counts a call of the profile API, unless there were too many: then it
// is how long to wait.
func (u *usage) pace(c *channel, now time.Time) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := c.accountKey()
	recent := u.calls[key]
	for len(recent) > 0 && now.Sub(recent[0]) >= profileWindow {
		recent = recent[1:]
	}
	if len(recent) >= profileCalls {
		u.calls[key] = recent
		return profileWindow - now.Sub(recent[0])
	}
	u.calls[key] = append(recent, now)
	return 0
}
