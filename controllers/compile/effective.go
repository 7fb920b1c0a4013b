package compile

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/bridgekeeper/bridgekeeper/api/v1alpha1"
	"github.com/bridgekeeper/bridgekeeper/bridge/document"
	"github.com/bridgekeeper/bridgekeeper/bridge/platform"
)

// unlimited stands in status where a rate has no bound.
const unlimited = "unlimited"

// effectiveChannel are the values in force of a Channel with a valid spec: its
// own, else the platform's, the store's, or ours.
func effectiveChannel(in *channelInput) *v1alpha1.EffectiveChannel {
	var l v1alpha1.ChannelLimits
	if in.channel.Spec.Limits != nil {
		l = *in.channel.Spec.Limits
	}
	e := &v1alpha1.EffectiveChannel{
		InboundPerSecond:  document.DefaultInboundPerSecond,
		OutboundPerSecond: effectiveRate(l.OutboundPerSecond, in.platform),
		MaxMediaBytes:     in.platform.MediaLimit(l.MaxMediaBytes),
		Overlap:           overlapOf(in.channel).String(),
	}
	if l.InboundPerSecond > 0 {
		e.InboundPerSecond = l.InboundPerSecond
	}
	if w := in.channel.Spec.ReopenWindow; w != nil {
		e.ReopenWindow = w.Duration.String()
	} else if in.bridge != nil && in.bridge.store != nil {
		e.ReopenWindow = in.bridge.store.reopenWindow()
	}
	return e
}

// effectiveRate is the Channel's own limit, which may be above the platform's:
// platforms raise it for accounts that ask.
func effectiveRate(own int32, facts platform.Capabilities) string {
	switch {
	case own > 0:
		return strconv.Itoa(int(own))
	case facts.RatePerSec > 0:
		return strconv.FormatFloat(math.Round(facts.RatePerSec*1e4)/1e4, 'f', -1, 64)
	default:
		return unlimited
	}
}

// overlapOf is how long rotated-out credentials of a Channel still verify.
func overlapOf(ch *v1alpha1.Channel) time.Duration {
	if o := ch.Spec.Credentials.Overlap; o != nil {
		return o.Duration
	}
	return defaultOverlap
}

// reopenWindow is the store's own; while its spec is invalid that of the
// document before, which stays in force; empty when there is none.
func (st *storeState) reopenWindow() string {
	settings := st.settings
	if settings == nil && st.previous != nil {
		if json.Unmarshal(st.previous.Settings, &settings) != nil {
			return ""
		}
	}
	if settings == nil {
		return ""
	}
	return time.Duration(settings.ReopenWindow).String()
}
