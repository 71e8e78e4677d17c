package localcluster

import (
	"context"
	"path/filepath"
)

// Prometheus is a Prometheus at work.
type Prometheus struct {
	*Process
	// URL is what it serves its API on.
	URL string
}

// StartPrometheus starts the program with a configuration file, and waits until it is ready. What it stores goes with the cluster.
func (c *Cluster) StartPrometheus(ctx context.Context, binary, config string) (*Prometheus, error) {
	listen, _, err := freeAddresses()
	if err != nil {
		return nil, err
	}
	process, err := c.launch(program{name: "prometheus", path: binary, args: []string{
		"--config.file=" + config, "--web.listen-address=" + listen, "--storage.tsdb.path=" + filepath.Join(c.Dir, "prometheus"),
	}})
	if err != nil {
		return nil, err
	}
	return &Prometheus{Process: process, URL: "http://" + listen}, process.AwaitOK(ctx, "http://"+listen+"/-/ready")
}
