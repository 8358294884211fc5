package repo

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"sigs.k8s.io/yaml"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

const maxProvenance = 256 << 10

// keyring checks signatures; an empty one leaves them to the clients.
type keyring struct{ keys openpgp.EntityList }

func readKeyring(data []byte) (keyring, error) {
	if len(data) == 0 {
		return keyring{}, nil
	}
	keys, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(data))
	if err != nil {
		keys, err = openpgp.ReadKeyRing(bytes.NewReader(data))
	}
	if err == nil && len(keys) == 0 {
		err = fmt.Errorf("it holds no public key")
	}
	return keyring{keys}, err
}

// provenance is what a provenance file says.
type provenance struct {
	name, version string
	files         map[string]string
}

// parseProvenance reads a clear-signed provenance file; nothing may stand
// outside the signature. With a keyring the signature must be by one of its
// keys.
func (k keyring) parseProvenance(data []byte) (provenance, error) {
	var p provenance
	refuse := func(format string, args ...any) (provenance, error) {
		return p, fmt.Errorf("%w: %s", ErrProvenance, fmt.Sprintf(format, args...))
	}
	if len(data) > maxProvenance {
		return refuse("it is %d bytes long, at most %d are taken", len(data), maxProvenance)
	}
	block, rest := clearsign.Decode(data)
	if block == nil {
		return refuse("it is not a clear-signed OpenPGP message (make one with helm package --sign)")
	}
	if !bytes.HasPrefix(data, []byte("-----BEGIN PGP SIGNED MESSAGE-----")) || len(bytes.TrimSpace(rest)) > 0 {
		return refuse("there is text outside the signed part")
	}
	if len(k.keys) > 0 {
		if _, err := block.VerifySignature(k.keys, nil); err != nil {
			return refuse("the signature does not verify with the server's keyring: %v", err)
		}
	}
	meta, sums, ok := bytes.Cut(block.Plaintext, []byte("\n...\n"))
	if !ok {
		return refuse("it has no list of files after the chart's metadata")
	}
	var about struct{ Name, Version string }
	if err := yaml.Unmarshal(meta, &about); err != nil {
		return refuse("its metadata is not YAML: %v", err)
	}
	var list struct {
		Files  map[string]string `json:"files"`
		Images map[string]string `json:"images,omitempty"`
	}
	if err := yaml.UnmarshalStrict(sums, &list); err != nil {
		return refuse("its list of files cannot be read: %v", err)
	}
	p.name, p.version, p.files = about.Name, about.Version, list.Files
	return p, nil
}

// check holds the file to the package.
func (p provenance) check(chart ref.ChartVersion, pkg ref.Digest) error {
	if p.name != chart.Name() || p.version != chart.Version() {
		return fmt.Errorf("%w: it is of %q, not of %s", ErrProvenance, p.name+"@"+p.version, chart)
	}
	got, ok := p.files[chart.FileName()]
	if !ok {
		return fmt.Errorf("%w: it names no file %s", ErrProvenance, chart.FileName())
	}
	if got != pkg.String() {
		return fmt.Errorf("%w: it says that %s is %s, and the package is %s", ErrProvenance, chart.FileName(), got, pkg)
	}
	return nil
}

// AddProvenance attaches a provenance file to the published package that it
// signs.
func (r *Repository) AddProvenance(ctx context.Context, op lock.Op, data []byte, authorize func(ref.ChartVersion) error) (lock.ChartVersion, error) {
	p, err := r.keys.parseProvenance(data)
	if err != nil {
		return lock.ChartVersion{}, err
	}
	chart, err := ref.ParseImported(strings.TrimSpace(p.name), p.version)
	if err != nil {
		return lock.ChartVersion{}, fmt.Errorf("%w: %v", ErrProvenance, err)
	}
	if err := authorize(chart); err != nil {
		return lock.ChartVersion{}, err
	}
	v, err := r.Lock.ChartVersion(ctx, chart)
	if err != nil {
		return v, err
	}
	if err := p.check(chart, v.Package); err != nil {
		return v, err
	}
	d, end, err := r.put(ctx, data)
	if err != nil {
		return v, err
	}
	v, err = r.Lock.AddProvenance(ctx, op, chart, d, int64(len(data)))
	end(err)
	return v, err
}
