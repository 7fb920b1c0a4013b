// Command cluster runs a real Kubernetes on one bare Linux machine, for tests
// and for trying things out: no Docker, no image registry, no virtual machines.
//
// Everything is a host process that is started, watched and stopped by this
// program. Only pods live in containers.
//
//	kubectl, tests                         one machine
//	     │ kubeconfig          ┌──────────────────────────────────────────┐
//	     ▼                     │ 127.0.0.1    etcd                        │
//	127.0.0.1:16443 ───────────┤ + 10.244.0.1 kube-apiserver              │
//	                           │              kube-controller-manager     │
//	127.0.0.1:30000-32767      │              kube-scheduler              │
//	     │ NodePort            │              kubelet ──► containerd      │
//	     ▼                     │              kube-proxy    │ runc        │
//	iptables ──────────────────┤ :53          CoreDNS       ▼             │
//	                           │              provisioner  pods           │
//	                           │              netpol        │ veth        │
//	                           │        bridge bk-cni0 ─────┘             │
//	                           │        10.244.0.0/23, no way out         │
//	                           └──────────────────────────────────────────┘
//
// The Kubernetes commands, etcd, CoreDNS and Helm are compiled from their Go modules
// (see go.mod and those of etcd, coredns and helm, which also pin the versions) into
// a cache outside the work tree. containerd, runc and the CNI plugins are
// Debian's. The modules are apart from the product's, so that none of this
// reaches its go.mod.
//
// The provisioner and netpol processes are the small program in agent/: it
// makes PersistentVolumes for the default StorageClass and enforces
// NetworkPolicies.
//
// What up makes, down removes: see leftovers.go for the complete list. A
// process is only ever signalled when its pid, start time and executable are
// those that were noted when it was started (process.go), or when it is one of
// our programs and its command line names our state folder (strays.go).
package main
