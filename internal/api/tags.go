package api

import "chartd.dev/chartd/internal/ref"

// TagNow is a tag by which an image of a binding, or its base, was found, and
// what is behind it at the registry now.
type TagNow struct {
	Role       ref.Role   `json:"role"`
	Base       bool       `json:"base,omitempty"`
	Repository string     `json:"repository"`
	Tag        string     `json:"tag"`
	Bound      ref.Digest `json:"bound"`
	Now        ref.Digest `json:"now,omitzero"`
	Gone       bool       `json:"gone,omitempty"` // the registry has no such tag any more
}

// TagsNow are the tags of one binding.
type TagsNow struct {
	Tags []TagNow `json:"tags"`
}
