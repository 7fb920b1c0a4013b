// Command scale measures the operator with a thousand and ten thousand Channels
// on a real API server; `make scale`.
//
//	scale ──apply──► kube-apiserver, etcd ◄──watch, write── bridgekeeper manager (its own process)
//	                        ▲                                     │
//	                        │ documents, certificates             │ /status, mutual TLS
//	                        └──── stand-in pods (127.88.0.n) ◄────┘
//
// The API server and the operator are the real ones. What an API server alone has
// not is played here: the controllers that make pods of Deployments and
// StatefulSets, the kubelet, and pods that read the real documents and answer
// /status with the real certificates, as pods do whose platform does all it is
// asked. Everything runs on the same cores, the stand-ins too.
//
// After that one bridge with as many channels as were applied at first, by webhook
// and by polling, with its store and the simulated platform: bridge.go.
//
// Each row has an aim (aims.go), for two cores on which nothing else runs. What is
// above it is said below the row and at the end, and fails the run with -assert.
//
// Figures come from outside of the operator: resident memory from /proc, requests
// from its own metrics, silence from the resourceVersions of every object.
package main
