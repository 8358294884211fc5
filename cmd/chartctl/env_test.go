package main

import (
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
)

func TestPinState(t *testing.T) {
	for _, tt := range [][3]string{
		{"verified", "", "verified"}, {"verified", "yanked", "yanked"}, {"verified", "purged", "purged"},
		{"revoked", "", "revoked"}, {"revoked", "yanked", "revoked, yanked"},
	} {
		e := api.Environment{ChartState: model.ChartState(tt[1]), Binding: &api.Binding{State: model.BindingState(tt[0])}}
		if got := pinState(e); got != tt[2] {
			t.Errorf("%s binding of a version that is %q: %q, want %q", tt[0], tt[1], got, tt[2])
		}
	}
}
