// Command metrics prints the reference of all metrics, from the registries of
// the real processes: config/prometheus/METRICS.md. Alerts and dashboard are
// checked against it.
//
//	operator, bridge, store ──► registries ──► METRICS.md ◄── hack/observability
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "metrics:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	b := &strings.Builder{}
	b.WriteString(header)
	for _, c := range []struct {
		title, text string
		collect     func(context.Context) ([]metric, error)
	}{
		{"Operator", "Port 8082 of the operator. What begins with `bridgekeeper_` is told by the replica that leads.", ofOperator},
		{"Bridge pods", "Port 8081 of the pods of each Bridge.", ofBridge},
		{"Store pods", "Port 8081 of the pods of each ConversationStore. Replicas of one store tell the same of what is in the database.", ofStore},
	} {
		metrics, err := c.collect(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", c.title, err)
		}
		table(b, c.title, c.text, metrics)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

const header = `# Metrics

Generated from the processes' own registries by ` + "`make generate`" + `. No label holds anything personal: they name platforms,
results, and at most a resource. Beside these, all pods tell the usual ones of Go and of the process (` + "`go_*`, `process_*`" + `).
`

func table(b *strings.Builder, title, text string, metrics []metric) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n| metric | type | labels | what it tells |\n|---|---|---|---|\n", title, text)
	slices.SortFunc(metrics, func(x, y metric) int { return strings.Compare(x.name, y.name) })
	for _, m := range metrics {
		labels := ""
		for i, l := range m.labels {
			if i > 0 {
				labels += ", "
			}
			labels += "`" + l + "`"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, strings.ReplaceAll(m.help, "|", `\|`))
	}
}
