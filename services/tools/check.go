package tools

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/tools/host"
)

// Check implements services.Checker: programs are looked for, nothing is started or reached.
func (s *Service) Check(context.Context) []services.Finding {
	var out []services.Finding
	for _, n := range s.o.Notes {
		out = append(out, services.Finding{Verdict: services.Warning, Text: n})
	}
	for _, x := range s.o.Servers {
		f := services.Finding{Verdict: services.Fine, Text: fmt.Sprintf("MCP server %s at %s", x.Name, x.URL)}
		if x.Transport == host.Stdio {
			path, err := exec.LookPath(x.Command)
			f.Text = fmt.Sprintf("MCP server %s is %s", x.Name, path)
			if err != nil {
				f = services.Finding{Verdict: services.Warning, Text: fmt.Sprintf("MCP server %s: %s", x.Name, err)}
			}
		}
		out = append(out, f)
	}
	return out
}
