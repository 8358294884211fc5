package ref

import "strings"

// Role says what an image is for in a chart: the path of its "image" map in
// the values, without that last element ("hub", "proxy.chp"), or "main" for a
// top-level one.
type Role string

// Roles of a chart's own image.
const (
	Hub  Role = "hub"
	Main Role = "main"
)

// Own is the role of the image that a chart version is for, among those that it
// has: the hub's, else the main one.
func Own(has func(Role) bool) (Role, bool) {
	for _, r := range []Role{Hub, Main} {
		if has(r) {
			return r, true
		}
	}
	return "", false
}

// IsOwn reports whether a chart version may be for an image of this role.
func (r Role) IsOwn() bool { return r == Hub || r == Main }

// RoleAt names the image whose map stands at a path of the values, as a role
// unless its words are none.
func RoleAt(path []string) string {
	if len(path) > 0 && path[len(path)-1] == "image" {
		path = path[:len(path)-1]
	}
	if len(path) == 0 {
		return string(Main)
	}
	return strings.Join(path, ".")
}

// HubAt reports whether the hub's image stands at a path of a chart's values.
func HubAt(path []string) bool { return RoleAt(path) == string(Hub) }

// ParseRole reads dot-separated words.
func ParseRole(s string) (Role, error) {
	if len(s) > 255 {
		return "", invalid("role", s, "longer than 255 characters")
	}
	for _, w := range strings.Split(s, ".") {
		if !wordChars(w, "_-") {
			return "", invalid("role", s, "want words joined by dots, such as hub or proxy.chp")
		}
	}
	return Role(s), nil
}
