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
// deleted: its webhook is removed at the platform first.
//
// DATA/documents.json is what an API server would have kept while the process
// does not run: objects, their UIDs and generations, and the documents in
// force. With it, webhooks signed with a credential that was rotated out are
// accepted for the whole overlap, and a Channel that was removed meanwhile
// still gets its webhook removed. It holds the credentials of all channels and
// belongs to its owner alone (0600): back it up as you would a Secret. A damaged
// one is put aside with a message, and the process goes on without it.
//
// A folder with a kustomization is built with kustomize's library and means
// what it means to "kubectl apply -k"; every file that takes part is watched.
//
// Each ConversationStore on SQLite has a folder DATA/NAMESPACE/NAME; one on
// PostgreSQL has its connection there, in files as a pod has them. The listener serves
// all of them: the bearer token says which store is meant. A store whose
// manifest names no token gets one, in a file that only its owner can read.
package standalone
