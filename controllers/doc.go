// Package controllers reconciles the resources. Decisions are pure and live
// below this package; here is what talks to the API server and to pods.
//
//	        watches                   documents (Secrets)
//	resources ──► compiler ──compile──► applied ──kubelet──► pods
//	                │ result                                  │ /status
//	                ▼                                         ▼
//	   store, bridge, channel, policy … ◄────────────────── poller
//	   reconcilers ──► children (workload), conditions
//
// There is one compiler for everything: claims and allow-lists look at all
// resources, and one debounced pass over 10 000 of them costs less than 10 000
// passes over their neighbourhood. The reconcilers of the kinds read its last
// result and what pods said, and write children, finalizers and status. When the
// operator is of another version than the pods, package upgrade says whose turn
// it is to get other ones.
package controllers
