package resolve

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

const maxDepth = 64

// freeForm are objects whose keys are data, where case may tell keys apart.
var freeForm = map[string]bool{"Labels": true, "annotations": true}

// unmarshal reads one JSON object that means the same to every reader: no key
// twice, nor twice but for case, which Go's decoder takes for the same.
func unmarshal(body []byte, v any) error {
	if !utf8.Valid(body) {
		return errors.New("it is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("it is not a JSON object")
	}
	if err := object(dec, "", 1); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("more data follows the JSON object")
	}
	return json.Unmarshal(body, v)
}

// object reads the rest of an object that is the value of key name.
func object(dec *json.Decoder, name string, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		folded := key
		if !freeForm[name] {
			folded = strings.ToLower(key)
		}
		if seen[folded] {
			return errors.New("the key " + quote(key) + " is there twice")
		}
		seen[folded] = true
		if err := value(dec, key, depth); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func value(dec *json.Decoder, name string, depth int) error {
	t, err := dec.Token()
	if err != nil {
		return err
	}
	if _, nested := t.(json.Delim); nested && depth == maxDepth {
		return errors.New("it is nested too deeply")
	}
	switch t {
	case json.Delim('{'):
		return object(dec, name, depth+1)
	case json.Delim('['):
		for dec.More() {
			if err := value(dec, "", depth+1); err != nil {
				return err
			}
		}
		_, err = dec.Token()
	}
	return err
}

func quote(s string) string {
	b, _ := json.Marshal(clip(s))
	return string(b)
}
