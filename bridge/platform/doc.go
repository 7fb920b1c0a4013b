// Package platform is the contract between the gateway and the messaging
// platforms, and what they share. Each platform is a package of its own below
// this one, listed in package all; nothing registers itself.
//
//	webhook request ──Verify──► ──Parse──► []message.Event        (pure, no I/O)
//	poll            ──Poll────► ──Parse──► []message.Event
//	message         ──Plan────► []wire.Part ──Send──► SendResult | *Error
//	duties          ──Probe, Register, Unregister, SyncProfile──► done | *Error
//
// A platform is stateless: everything it needs comes in a Channel. All methods
// may be called concurrently. Optional abilities are small interfaces found by
// type assertion: Poller, Registrar, Profiler, MediaFetcher, Handshaker, Acker.
package platform
