package main

import (
	"context"
	"testing"

	"chartd.dev/chartd/internal/api"
)

// paged is a journal of some lines behind the server's paging.
func paged(lines uint64, calls *int) journalPages {
	return func(_ context.Context, after uint64, limit int) (api.Journal, error) {
		*calls++
		out := api.Journal{Lines: []api.Line{}}
		for seq := after + 1; seq <= lines; seq++ {
			if len(out.Lines) == limit {
				out.Next = seq - 1
				break
			}
			out.Lines = append(out.Lines, api.Line{Seq: seq})
		}
		return out, nil
	}
}

func TestJournalEnd(t *testing.T) {
	for _, lines := range []uint64{0, 1, 2, 49, 50, 51, 99, 100, 101, 1000, 4321, 100_000} {
		for _, n := range []int{1, 2, 50, 2500} {
			calls := 0
			got, err := journalEnd(t.Context(), func(context.Context) (uint64, error) { return lines, nil }, paged(lines, &calls), n)
			if err != nil {
				t.Fatal(err)
			}
			want := min(lines, uint64(n))
			if uint64(len(got.Lines)) != want || got.Next != 0 {
				t.Errorf("the last %d of %d: %d lines, next %d, want %d lines", n, lines, len(got.Lines), got.Next, want)
				continue
			}
			for i, l := range got.Lines {
				if l.Seq != lines-want+1+uint64(i) {
					t.Errorf("the last %d of %d: line %d has sequence %d", n, lines, i, l.Seq)
					break
				}
			}
			if calls > 40 {
				t.Errorf("the last %d of %d took %d questions", n, lines, calls)
			}
		}
	}
}

// Lines written while the end is read are there, and no more than n.
func TestJournalEndGrows(t *testing.T) {
	calls := 0
	end := func(context.Context) (uint64, error) { return 60, nil }
	got, err := journalEnd(t.Context(), end, func(ctx context.Context, after uint64, limit int) (api.Journal, error) {
		return paged(3060+uint64(calls), &calls)(ctx, after, limit)
	}, 10)
	if err != nil || len(got.Lines) != 10 {
		t.Fatalf("%d lines, %v, want 10", len(got.Lines), err)
	}
	if last := got.Lines[9].Seq; last != 3060+uint64(calls)-1 {
		t.Errorf("the last line is %d after %d questions", last, calls)
	}
}
