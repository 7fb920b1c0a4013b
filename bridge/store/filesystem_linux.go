package store

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// networkFilesystems are superblock magics (statfs(2), linux/magic.h) of
// filesystems shared between machines: their locks and shared memory maps are
// not dependable, and SQLite's log needs both.
var networkFilesystems = map[int64]string{
	unix.NFS_SUPER_MAGIC:  "nfs",
	unix.SMB_SUPER_MAGIC:  "smb",
	unix.CIFS_SUPER_MAGIC: "cifs",
	unix.SMB2_SUPER_MAGIC: "smb3",
	unix.CEPH_SUPER_MAGIC: "ceph",
	unix.AFS_SUPER_MAGIC:  "afs",
	unix.V9FS_MAGIC:       "9p",
	unix.CODA_SUPER_MAGIC: "coda",
	0x0bd00bd0:            "lustre",
	0x19830326:            "beegfs",
}

// localFuse are FUSE filesystems that keep their bytes on this machine. Any
// other FUSE filesystem (sshfs, s3fs, glusterfs, juicefs …) is taken for a
// shared one.
var localFuse = map[string]bool{"fuseblk": true, "fuse.fuse-overlayfs": true, "fuse.bindfs": true, "fuse.ntfs-3g": true, "fuse.gocryptfs": true, "fuse.mergerfs": true}

// refuseNetworkFilesystem fails when dir is on a filesystem where SQLite can
// lose data.
func refuseNetworkFilesystem(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("data folder %s: %w", dir, err)
	}
	magic := int64(st.Type) & 0xffffffff //nolint:unconvert // int32 on some architectures
	name, network := networkFilesystems[magic]
	if magic == unix.FUSE_SUPER_MAGIC {
		name = mountType(dir)
		network = !localFuse[name]
	}
	if network {
		return fmt.Errorf("data folder %s is on a network filesystem (%s), where SQLite can lose data: use a volume of a block device (ReadWriteOnce), or the postgres backend", dir, name)
	}
	return nil
}

// mountType finds the type of the mount that dir is on, e.g. "fuse.sshfs".
func mountType(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "fuse"
	}
	defer f.Close()
	best, kind := -1, "fuse"
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// 36 35 98:0 /root /mount/point options - type source super-options
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields, types := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(types) < 1 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(fields[4])
		inside := dir == point || point == "/" || strings.HasPrefix(dir, point+"/")
		if inside && len(point) >= best { // of two mounts on one point the later one is on top
			best, kind = len(point), types[0]
		}
	}
	return kind
}

// diskFree is how much of the filesystem an ordinary user can still write.
func diskFree(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	block := uint64(st.Bsize) //nolint:gosec // a block size is positive
	return st.Bavail * block, st.Blocks * block, nil
}
