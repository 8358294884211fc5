package durable

import (
	"fmt"
	"syscall"
)

// networked maps the magic numbers of statfs(2) to file systems where a lock
// may be seen by one machine only.
var networked = map[uint32]string{
	0x6969:     "NFS",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x5346414f: "AFS",
}

func checkFilesystem(dir string) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return fmt.Errorf("lock directory %s: %w", dir, err)
	}
	return refuseNetworked(dir, uint32(st.Type))
}

func refuseNetworked(dir string, magic uint32) error {
	if name, bad := networked[magic]; bad {
		return fmt.Errorf("%w: %q lies on %s, whose locks do not keep two servers apart; put it on a local disk", ErrFilesystem, dir, name)
	}
	return nil
}
