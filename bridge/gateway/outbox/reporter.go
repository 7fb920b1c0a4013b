package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/bridgekeeper/bridgekeeper/bridge/gateway/batch"
	"github.com/bridgekeeper/bridgekeeper/bridge/store"
	"github.com/bridgekeeper/bridgekeeper/bridge/wire"
)

const (
	// maxReporting requests are on the way at one time: the next one gathers
	// while the others commit.
	maxReporting = 2
	// maxGroups share a request; a group is one or two reports of one delivery.
	maxGroups = 256
	// reportTimeout bounds one request: a commit takes milliseconds.
	reportTimeout = 10 * time.Second
)

// reporter tells the store what became of parts. The reports of one call stay
// together and in order.
type reporter struct {
	store    Store
	instance string
	groups   *batch.Batcher[[]wire.PartReport, []bool]
}

func newReporter(s Store, instance string, workers int) *reporter {
	r := &reporter{store: s, instance: instance}
	r.groups = batch.New(batch.Options[[]wire.PartReport, []bool]{
		Send: r.send, Size: func(g []wire.PartReport) int { return 512 * len(g) },
		Concurrency: maxReporting, MaxItems: maxGroups, MaxBytes: 1 << 20,
		// Each worker waits for one group: this never binds.
		MaxPending: workers, MaxPendingBytes: 1024 * workers, CallTimeout: reportTimeout,
	})
	return r
}

// tell returns, per report, whether the lease was still valid.
func (r *reporter) tell(ctx context.Context, reports ...wire.PartReport) ([]bool, error) {
	return r.groups.Do(ctx, reports)
}

func (r *reporter) send(ctx context.Context, groups [][]wire.PartReport) ([][]bool, error) {
	req := wire.ReportRequest{Instance: r.instance}
	for _, g := range groups {
		req.Reports = append(req.Reports, g...)
	}
	resp, err := r.store.Report(ctx, req)
	if err != nil {
		return nil, err
	}
	if len(resp.Accepted) != len(req.Reports) {
		return nil, fmt.Errorf("%w: the store answered %d of %d reports", store.ErrUnavailable, len(resp.Accepted), len(req.Reports))
	}
	accepted := make([][]bool, len(groups))
	for i, rest := 0, resp.Accepted; i < len(groups); i++ {
		accepted[i], rest = rest[:len(groups[i])], rest[len(groups[i]):]
	}
	return accepted, nil
}
