package main

import (
	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/renderer"
	"github.com/spf13/cobra"
)

// newRender is the process in which the server renders: nobody types it.
func newRender() *cobra.Command {
	l := render.DefaultLimits()
	cmd := &cobra.Command{Use: render.Command, Short: "Answer one request of the server to render", Hidden: true, Args: noArgs}
	cpu := cmd.Flags().Int64("cpu", int64(l.CPU.Seconds()), "seconds of processor time")
	memory := cmd.Flags().Int64("memory", l.Memory, "bytes of memory")
	output := cmd.Flags().Int64("output", l.Output, "bytes of rendered text")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return renderer.Main(*cpu, *memory, *output, cmd.InOrStdin(), cmd.OutOrStdout())
	}
	return cmd
}
