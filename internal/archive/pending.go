package archive

import (
	"chartd.dev/chartd/internal/ref"
)

type site struct{}

// Read checks a package and says what it is.
func Read(data []byte, o Options) (*Package, error) { return nil, malformed("read", "not yet") }

// Templates returns the files under templates/.
func Templates(data []byte, o Options) ([]File, error) { return nil, malformed("read", "not yet") }

// Seal splices the images into the values files that name them.
func Seal(data []byte, want map[ref.Role]SealImage, o Options) ([]byte, []Splice, error) {
	return nil, nil, malformed("seal", "not yet")
}

// CompareSeal proves that sealed is original but for the spliced scalars.
func CompareSeal(original, sealed []byte, o Options) ([]Splice, error) {
	return nil, malformed("seal", "not yet")
}

// Pack packs a chart directory.
func Pack(dir string, o Options) ([]byte, *Package, error) { return nil, nil, malformed("pack", "not yet") }
