// Package e2e tests Bridgekeeper on a real cluster, from the outside: manifests
// go in through the API server, customers write through the simulator, a desk
// reads and answers through REST. `make e2e` runs it; the files have the build
// tag e2e.
//
// Every test has a namespace of its own ("shop"), under the restricted Pod
// Security level, with its own store and bridge. The operator and the
// simulator are shared. Nothing sleeps: everything is waited for, with a
// deadline, and a failed test shows its namespace. Tests run beside each other,
// but for those that measure, or that stop the operator: these come first.
//
// Environment:
//
//	KUBECONFIG           the cluster
//	E2E_KUBECTL          kubectl (default: of the PATH)
//	E2E_IMAGE            image of operator, bridge and store, known to the cluster
//	E2E_SIMULATOR_IMAGE  image of the simulator, known to the cluster
//	E2E_REPORT           file for the table of what was measured
//	E2E_POLICIES_ENFORCED=false  the cluster does not enforce NetworkPolicies
package e2e
