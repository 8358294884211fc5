package kept_test

import (
	"encoding/json"
	"testing"
	"time"

	"chartd.dev/chartd/lock/kept"
)

// Records were written by encoding/json before, and their bytes are compared.
func TestWrapWritesTheBytesOfEncodingJSON(t *testing.T) {
	type line struct {
		Seq    uint64            `json:"seq,omitempty"`
		At     time.Time         `json:"at"`
		By     map[string]string `json:"by,omitempty"`
		Reason string            `json:"reason"`
		Detail json.RawMessage   `json:"detail,omitempty"`
	}
	for _, v := range []line{
		{},
		{Seq: 1, At: time.Date(2026, 3, 2, 1, 0, 0, 123456000, time.UTC), By: map[string]string{"b": "2", "a": "1"}, Detail: json.RawMessage(`{"why":"a \u003cb\u003e"}`)},
		{Reason: "a <b> & \"c\"\u2028 \x00 ü", Detail: json.RawMessage("{ \"spaced\" : [ 1, 2.50 ] }")},
	} {
		want, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := kept.Wrap(v); err != nil || string(got) != string(want) {
			t.Errorf("%s, %v; encoding/json writes %s", got, err, want)
		}
	}
}
