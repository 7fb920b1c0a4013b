// Package standalone runs manifests without a cluster: the same files, the same
// compiler, the same bridge and store, in one process on one listener.
//
//	files ──read, check as the API server would──► snapshot ──compile──► documents
//	  ▲ polled every second, SIGHUP                                        │
//	  │                                                                    ▼
//	  └── findings, conditions ◄── /status ── gateway per Bridge ──► store per ConversationStore
//	      printed on change                      ▲                         ▲
//	                                  /webhooks/ │      /v1, /openapi.json │
//	                                 ────────────┴──── listener ───────────┘
//
// What a cluster does and this does not: replicas, Services, certificates and
// network policies. A Channel that vanishes from the files is one that is
// deleted: its webhook is removed at the platform first. A Channel that is
// removed while the process does not run leaves its webhook behind.
//
// Each ConversationStore has a folder DATA/NAMESPACE/NAME. The listener serves
// all of them: the bearer token says which store is meant. A store whose
// manifest names no token gets one, in a file that only its owner can read.
package standalone
