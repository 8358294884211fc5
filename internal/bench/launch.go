package main

import (
	"fmt"
	"os"
	"os/exec"
	"time"
)

// cost is what a command took.
type cost struct {
	wall, cpu time.Duration
	peak      float64 // MB resident at most
}

// once runs a program to its end, started by a small process: see launch.
func (b *bench) once(env []string, name string, args ...string) (c cost, err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return c, err
	}
	defer r.Close()
	cmd := exec.Command(b.launch, append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	cmd.ExtraFiles = []*os.File{w}
	out, err := cmd.CombinedOutput()
	w.Close()
	if err != nil {
		return c, fmt.Errorf("%s %v: %w: %s", name, args, err, out)
	}
	if _, err := fmt.Fscan(r, (*int64)(&c.wall), (*int64)(&c.cpu), &c.peak); err != nil {
		return c, fmt.Errorf("%s %v: what it took: %w", name, args, err)
	}
	c.peak /= 1024
	return c, nil
}

// command runs a program n times and returns the medians of time and memory.
func (b *bench) command(env []string, n int, name string, args ...string) (cost, error) {
	var all []cost
	for range n {
		c, err := b.once(env, name, args...)
		if err != nil {
			return c, err
		}
		all = append(all, c)
	}
	return medianCost(all), nil
}

func medianCost(all []cost) cost {
	var wall, cpu []time.Duration
	var peak []float64
	for _, c := range all {
		wall, cpu, peak = append(wall, c.wall), append(cpu, c.cpu), append(peak, c.peak)
	}
	return cost{median(wall), median(cpu), median(peak)}
}
