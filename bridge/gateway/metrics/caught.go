package metrics

import (
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// Caught counts and logs a recovered panic. The value of the panic is logged
// only where it is the Go runtime's own: any other may quote a payload. The
// stack shows functions and addresses, no content.
func (m *Metrics) Caught(log *slog.Logger, where string, recovered any, attrs ...any) {
	m.Panics.WithLabelValues(where).Inc()
	text := fmt.Sprintf("%T", recovered)
	if err, ok := recovered.(runtime.Error); ok {
		text = err.Error()
	}
	log.Error("a bug was caught; please report it", append(attrs, "where", where, "panic", text, "stack", string(debug.Stack()))...)
}
