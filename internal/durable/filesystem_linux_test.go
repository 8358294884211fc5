package durable

import (
	"errors"
	"strings"
	"testing"
)

func TestNetworkedFilesystems(t *testing.T) {
	for magic, name := range networked {
		err := refuseNetworked("/data", magic)
		if !errors.Is(err, ErrFilesystem) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "/data") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, magic := range []uint32{0xef53, 0x01021994, 0x58465342, 0x9123683e} { // ext4, tmpfs, xfs, btrfs
		if err := refuseNetworked("/data", magic); err != nil {
			t.Errorf("magic %#x: %v", magic, err)
		}
	}
}
