package outbox

import (
	"context"
	"errors"
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
	// reportSize is roughly a report in bytes: ids and a reason of 300 at most.
	reportSize = 512
	// groupsPerWorker may be pending: the one that the worker waits for, and
	// those that it gave up and that count until the request they are in has
	// ended (reportTimeout): the "sending" of a part, the release in its place,
	// and the "sending" of its next delivery.
	groupsPerWorker = 4
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
		Send: r.send, Size: func(g []wire.PartReport) int { return reportSize * len(g) },
		Concurrency: maxReporting, MaxItems: maxGroups, MaxBytes: 1 << 20,
		// Should it bind all the same, tell waits. A group is two reports at most.
		MaxPending: groupsPerWorker * workers, MaxPendingBytes: 2 * reportSize * groupsPerWorker * workers,
		CallTimeout: reportTimeout,
	})
	return r
}

// tell returns, per report, whether the lease was still valid. It tries until
// ctx is done, also when too much is pending: an outcome has no second place.
func (r *reporter) tell(ctx context.Context, reports ...wire.PartReport) ([]bool, error) {
	for failures := 0; ; failures++ {
		accepted, err := r.groups.Do(ctx, reports)
		if !errors.Is(err, batch.ErrOverloaded) || ctx.Err() != nil {
			return accepted, err
		}
		sleep(ctx, backoff(failures))
	}
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
