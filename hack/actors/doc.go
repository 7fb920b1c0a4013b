// Package actors are the people of the demonstration and of the end-to-end
// tests: customers, who write through the simulator's control API, and a desk,
// which reads and answers through REST. What is between them is real.
//
//	Customer ──control API──► simulator ──webhook, getUpdates──► bridge ──► store
//	   ▲                                                                     │
//	   └────────transcript──── simulator ◄──sendMessage─── bridge ◄── REST ◄─Desk
package actors
