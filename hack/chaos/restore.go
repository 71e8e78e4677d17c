package main

import (
	"context"
	"os"
	"path/filepath"
)

// restoredBackups are an etcd that comes back as it was some rotations before.
func restoredBackups() []scenario {
	return []scenario{
		{name: "the operator lives on", quick: true, alone: true, waits: true, setting: setting{mayLose: 1, restores: true}, run: func(ctx context.Context, s *stage) error {
			return restored(ctx, s, false)
		}},
		{name: "the operator starts anew", alone: true, waits: true, setting: setting{mayLose: 1, restores: true}, run: func(ctx context.Context, s *stage) error {
			return restored(ctx, s, true)
		}},
	}
}

// restored puts a snapshot back after two rotations: its refresh token was spent by the first of them, and is not to be presented
// again, because the login can obtain another one.
func restored(ctx context.Context, s *stage, restart bool) error {
	snapshot := filepath.Join(s.dir, "snapshot")
	err := s.plant.cluster.Offline(func(dataDir string) error { return os.CopyFS(snapshot, os.DirFS(dataDir)) })
	if err != nil {
		return err
	}
	for range 2 {
		if err := rotated(ctx, s); err != nil {
			return err
		}
	}
	if restart {
		s.replicas[0].kill()
	}
	err = s.plant.cluster.Offline(func(dataDir string) error {
		if err := os.RemoveAll(dataDir); err != nil {
			return err
		}
		return os.CopyFS(dataDir, os.DirFS(snapshot))
	})
	if err != nil {
		return err
	}
	if restart {
		if err := s.replicas[0].start(ctx); err != nil {
			return err
		}
	}
	s.say("the snapshot is back")
	return rotated(ctx, s)
}
