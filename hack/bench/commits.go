package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// commitsMetric counts the store's transactions.
const commitsMetric = `bridgekeeper_store_commits_total{outcome="committed"} `

// commitsOf asks a store how many transactions it has committed: what a message
// costs depends above all on how many share one.
func commitsOf(ctx context.Context, health string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+health+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), commitsMetric); ok {
			n, err := strconv.ParseFloat(value, 64)
			return int(n), err
		}
	}
	return 0, fmt.Errorf("the store at %s has no metric %s", health, commitsMetric)
}

// committed is how many transactions the target's store has committed.
func (t *target) committed(ctx context.Context) (int, error) {
	if t.commits == nil {
		return 0, nil
	}
	return t.commits(ctx)
}

// since is how many transactions were committed after the first ones.
func (t *target) since(ctx context.Context, first int) (int, error) {
	now, err := t.committed(ctx)
	return now - first, err
}
