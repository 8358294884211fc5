package model

import (
	"encoding/json"
	"testing"
)

func TestEvidenceOrder(t *testing.T) {
	for e, proof := range map[Evidence]bool{NoImages: true, ChartValues: true, BaseLayers: true, BaseLabel: false, Declared: false} {
		if e.Proof() != proof {
			t.Errorf("%s is proof: %v, want %v", e, !proof, proof)
		}
	}
	if Evidence("word").Rank() != -1 {
		t.Error("an unknown word has a rank")
	}
}

// What is listed is stored as nothing, and said as a word.
func TestChartStateOnTheWire(t *testing.T) {
	for text, want := range map[string]ChartState{`{}`: Listed, `{"said":"listed"}`: Listed, `{"said":"yanked"}`: Yanked, `{"said":"purged"}`: Purged} {
		var in struct {
			Said ChartState `json:"said"`
		}
		if err := json.Unmarshal([]byte(text), &in); err != nil || in.Said != want {
			t.Errorf("%s is read as %q, %v; want %q", text, in.Said, err, want)
		}
	}
	var out struct {
		Stored ChartState `json:"stored,omitempty"`
		Said   ChartState `json:"said"`
	}
	if b, err := json.Marshal(out); err != nil || string(b) != `{"said":"listed"}` {
		t.Errorf("a listed version is %s, %v", b, err)
	}
}
