package server

import (
	"errors"
	"fmt"
	"reflect"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/strictjson"
	"chartd.dev/chartd/internal/transport"
)

// decode reads a JSON body strictly: one value, no unknown and no doubled
// key, valid UTF-8, and none of the required keys without a value. It returns
// the digest of what was sent and of the preconditions that belong to it.
func decode(c *call, into any, required ...string) (ref.Digest, error) {
	data, err := c.ReadJSON()
	if err != nil {
		return ref.Digest{}, err
	}
	if err := strictjson.Unmarshal(data, into); err != nil {
		if errors.Is(err, ref.ErrInvalid) {
			return ref.Digest{}, err
		}
		return ref.Digest{}, fmt.Errorf("%w: read JSON body: %w", transport.ErrBadRequest, err)
	}
	if err := checkRequired(reflect.ValueOf(into).Elem(), required); err != nil {
		return ref.Digest{}, err
	}
	return ref.DigestOf(append(data, "\n"+c.R.Header.Get("If-Match")...)), nil
}

// checkRequired names the first required key of a struct that has no value.
func checkRequired(v reflect.Value, required []string) error {
	if name := strictjson.Missing(v, required...); name != "" {
		return transport.BadRequest("read JSON body: %q is missing or empty", name)
	}
	return nil
}
