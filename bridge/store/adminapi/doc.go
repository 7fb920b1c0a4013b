// Package adminapi is how commands on the store's own machine reach a store
// that runs: HTTP on a Unix socket in its data folder.
//
//	kubectl exec … -- /bridge store backup --out -
//	        │ DATA/admin.sock (0600)
//	        ▼
//	POST /backup ──► Store.Backup ──► archive as the answer's body, its summary as a trailer
//
// The running store holds the lock on its data folder, so nobody else may open
// the database; it makes the backup itself. Who can open the socket can read
// the database file, too: the file's mode is all the authentication there is.
package adminapi
