package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
)

func TestChannelsWithSeriesOfTheirOwnAreBounded(t *testing.T) {
	m := New(prometheus.NewRegistry())
	for i := range maxChannels + 50 {
		m.ChannelWebhook(fmt.Sprintf("shop/c%d", i), "accepted")
	}
	assert.Equal(t, maxChannels+1, testutil.CollectAndCount(m.channelWebhooks))
	assert.Equal(t, 50.0, testutil.ToFloat64(m.channelWebhooks.WithLabelValues("_other", "_other", "accepted")))

	m.ChannelSend("shop/c0", "sent")
	m.Forget(func(channel string) bool { return !strings.HasPrefix(channel, "shop/c0") })
	assert.Equal(t, 0, testutil.CollectAndCount(m.channelSends))
	m.ChannelWebhook("shop/new", "accepted")
	assert.Equal(t, 1.0, testutil.ToFloat64(m.channelWebhooks.WithLabelValues("shop", "new", "accepted")), "room was made")
}

func TestNamesFollowTheConventions(t *testing.T) {
	reg := prometheus.NewRegistry()
	New(reg)
	problems, err := testutil.GatherAndLint(reg)
	assert.NoError(t, err)
	assert.Empty(t, problems)
}

func TestCaughtQuotesNoPayload(t *testing.T) {
	var b bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&b, nil))
	m := New(prometheus.NewRegistry())
	m.Caught(log, "send", errors.New("a very personal text"))
	m.Caught(log, "send", "a very personal text")
	assert.NotContains(t, b.String(), "personal")
	func() {
		defer func() { m.Caught(log, "send", recover(), "channel", "shop/a") }()
		var list []int
		_ = list[len(list)]
	}()
	assert.Contains(t, b.String(), "index out of range", "the runtime's own words are safe")
	assert.Contains(t, b.String(), `"channel":"shop/a"`)
	assert.Equal(t, 3.0, testutil.ToFloat64(m.Panics.WithLabelValues("send")))
}
