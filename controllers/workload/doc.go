// Package workload builds the objects that run a Bridge or a
// ConversationStore. The builders are pure: the same resource and options give
// the same objects; the reconcilers apply them.
//
//	Bridge ─────────────► ServiceAccount, Deployment, Service, NetworkPolicy,
//	                      PodDisruptionBudget (replicas ≥ 2), Ingress, HTTPRoute (when asked for)
//	ConversationStore ──► ServiceAccount, Service, NetworkPolicy, and with
//	                      sqlite   a StatefulSet of one pod (+ PVC)
//	                      postgres a Deployment, its database's Secret,
//	                               PodDisruptionBudget (replicas ≥ 2)
//
// Pod templates never change with content: documents and certificates are
// Secrets mounted under fixed names, so that a thousand Channels more or a
// rotated credential restart nothing. All pods pass the restricted Pod
// Security level.
package workload
